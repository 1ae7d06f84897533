import { describe, expect, test } from '@jest/globals';

import { blocking, conditionsOf, keepTransitions } from '../../workflows/plan/conditions.ts';
import type { FactFailure, PlanInput } from '../../workflows/plan/plan-input.ts';
import { blockedBy, cluster, fresh, machine, member, memberMachine, now, request, without } from './facts.ts';

const withoutMachine = without(fresh, 'machine', 'rendered');
const withoutCluster = without(fresh, 'cluster', 'rendered');
const clusterWithoutRevision = without(cluster, 'revision');
const clusterWithoutGateway = without(cluster, 'gateway');
const requestWithoutWorkload = without(request, 'workload');

const onMachine = (facts: Partial<typeof machine>): PlanInput => ({ ...fresh, machine: { ...machine, ...facts } });
const inCluster = (facts: Partial<NonNullable<PlanInput['cluster']>>): PlanInput => ({
  ...fresh,
  cluster: { ...cluster, ...facts },
});
const failed = (side: keyof PlanInput['failures'], type: string): PlanInput => {
  const failure: FactFailure = { type, message: `${type} on 192.0.2.11` };
  const failures = { [side]: failure };
  if (side === 'machine') return { ...withoutMachine, failures };
  return side === 'cluster' ? { ...withoutCluster, failures } : { ...fresh, failures };
};
const group = (spec: NonNullable<NonNullable<PlanInput['cluster']>['workloadGroup']>['spec']) =>
  inCluster({ workloadGroup: { isOurs: false, annotations: {}, spec } });

test('finds nothing that blocks on a ready machine in a ready cluster', () => {
  const conditions = conditionsOf(fresh, now);
  expect(conditions.filter(({ status }) => status !== 'True')).toEqual([]);
  expect(conditions.every(({ lastTransitionTime }) => lastTransitionTime === now)).toBe(true);
});

test('finds nothing that blocks on a member, whose own proxy holds the ports and the redirection', () => {
  expect(blocking(conditionsOf(member, now))).toEqual([]);
});

interface Row {
  readonly title: string;
  readonly input: PlanInput;
  readonly type: string;
  readonly reason: string;
  /** What the message must name. */
  readonly says: string;
}

const rows: readonly Row[] = [
  {
    title: 'the machine does not answer',
    input: failed('machine', 'HostUnreachable'),
    type: 'Reachable',
    reason: 'HostUnreachable',
    says: '192.0.2.11',
  },
  {
    title: 'reading the machine takes too long',
    input: failed('machine', 'TimedOut'),
    type: 'Reachable',
    reason: 'TimedOut',
    says: '192.0.2.11',
  },
  {
    title: 'the machine shows another host key',
    input: failed('machine', 'HostKeyMismatch'),
    type: 'HostKeyTrusted',
    reason: 'HostKeyMismatch',
    says: '192.0.2.11',
  },
  {
    title: 'the login is refused',
    input: failed('machine', 'HostAuthRejected'),
    type: 'LoginAccepted',
    reason: 'HostAuthRejected',
    says: '192.0.2.11',
  },
  {
    title: 'the credential is not there',
    input: failed('machine', 'CredentialMissing'),
    type: 'CredentialFound',
    reason: 'CredentialMissing',
    says: '192.0.2.11',
  },
  {
    title: 'sudo is refused',
    input: failed('machine', 'SudoRefused'),
    type: 'SudoAllowed',
    reason: 'SudoRefused',
    says: '192.0.2.11',
  },
  {
    title: 'the inspection fails on the machine',
    input: failed('machine', 'HostCommandFailed'),
    type: 'Inspectable',
    reason: 'HostCommandFailed',
    says: '192.0.2.11',
  },
  {
    title: 'the Kubernetes API does not answer',
    input: failed('cluster', 'ClusterUnreachable'),
    type: 'ClusterReadable',
    reason: 'ClusterUnreachable',
    says: '',
  },
  {
    title: 'reading the cluster takes too long',
    input: failed('cluster', 'TimedOut'),
    type: 'ClusterReadable',
    reason: 'TimedOut',
    says: '',
  },
  {
    title: 'the mesh configuration cannot be read',
    input: failed('render', 'MeshConfigInvalid'),
    type: 'MeshConfigValid',
    reason: 'MeshConfigInvalid',
    says: '',
  },
  {
    title: 'the package is not in the source',
    input: failed('package', 'PackageMissing'),
    type: 'PackageAvailable',
    reason: 'PackageMissing',
    says: '',
  },
  {
    title: 'the hostname is another',
    input: onMachine({ hostname: 'web-7' }),
    type: 'HostnameMatches',
    reason: 'HostnameDiffers',
    says: 'web-7',
  },
  {
    title: 'the hostname does not resolve on the machine',
    input: onMachine({ resolvesOwnHostname: false }),
    type: 'HostnameResolves',
    reason: 'HostnameUnresolved',
    says: '127.0.1.1 orders-1',
  },
  {
    title: 'the system takes neither .deb nor .rpm',
    input: onMachine({ packageFormat: 'unknown' }),
    type: 'OsSupported',
    reason: 'PackageFormatUnknown',
    says: 'Debian',
  },
  {
    title: 'the architecture has no package',
    input: onMachine({ architecture: 's390x' }),
    type: 'OsSupported',
    reason: 'ArchitectureUnsupported',
    says: 's390x',
  },
  {
    title: 'systemd did not boot the machine',
    input: onMachine({ hasSystemd: false }),
    type: 'SystemdPresent',
    reason: 'SystemdMissing',
    says: 'orders-1',
  },
  {
    title: 'tools are missing',
    input: onMachine({ missingTools: ['iptables', 'tar'] }),
    type: 'ToolsPresent',
    reason: 'ToolsMissing',
    says: 'iptables, tar',
  },
  {
    title: 'the disk is nearly full',
    input: onMachine({ freeBytes: 100 * 1024 ** 2 }),
    type: 'DiskSpace',
    reason: 'DiskTooFull',
    says: '100 MB',
  },
  {
    title: 'another version of the package is there, which an undo could not put back',
    input: onMachine({ installedVersion: '1.29.2-1' }),
    type: 'PackageIsOurs',
    reason: 'PackageOfOthers',
    says: '1.29.2-1',
  },
  {
    title: 'something listens on a port of the proxy',
    input: onMachine({ listening: [{ address: '0.0.0.0', port: 15021, process: 'envoy' }] }),
    type: 'PortsFree',
    reason: 'PortsTaken',
    says: '15021 (envoy)',
  },
  {
    title: 'redirection of somebody else stands',
    input: onMachine({ isCaptured: true }),
    type: 'NoForeignRedirect',
    reason: 'RedirectedByOthers',
    says: 'istio-iptables',
  },
  {
    title: 'the namespace does not exist',
    input: inCluster({ namespaceExists: false }),
    type: 'NamespaceExists',
    reason: 'NamespaceMissing',
    says: 'shop',
  },
  {
    title: 'the namespace is in ambient mode',
    input: inCluster({ namespaceIsAmbient: true }),
    type: 'SidecarMode',
    reason: 'NamespaceIsAmbient',
    says: 'istio.io/dataplane-mode',
  },
  {
    title: 'there is no group and nothing to make it of',
    input: { ...fresh, request: requestWithoutWorkload },
    type: 'WorkloadGroupFound',
    reason: 'WorkloadGroupMissing',
    says: 'shop/orders',
  },
  {
    title: 'the group has other ports than the request',
    input: group({ template: { labels: { app: 'orders' }, ports: { http: 9090 } } }),
    type: 'WorkloadGroupFound',
    reason: 'WorkloadGroupDiffers',
    says: 'ports',
  },
  {
    title: 'the group lacks a label of the request',
    input: group({ template: { labels: { team: 'a' }, ports: { http: 8080 } } }),
    type: 'WorkloadGroupFound',
    reason: 'WorkloadGroupDiffers',
    says: 'labels',
  },
  {
    title: 'the revision has no istiod',
    input: { ...fresh, request: { ...request, revision: 'canary' }, cluster: clusterWithoutRevision },
    type: 'RevisionKnown',
    reason: 'RevisionUnknown',
    says: 'canary',
  },
  {
    title: 'no istiod is ready',
    input: inCluster({ revision: { ...cluster.revision, readyReplicas: 0 } }),
    type: 'IstiodReady',
    reason: 'IstiodNotReady',
    says: '1-30-0',
  },
  {
    title: 'the namespace has no root certificate',
    input: inCluster({ rootCertificate: '' }),
    type: 'RootCertificatePresent',
    reason: 'RootCertificateMissing',
    says: 'istio-ca-root-cert',
  },
  {
    title: 'the gateway has no address',
    input: { ...fresh, cluster: clusterWithoutGateway },
    type: 'GatewayAddressKnown',
    reason: 'GatewayAddressMissing',
    says: 'istio-eastwestgateway',
  },
  {
    title: "the gateway's name does not resolve",
    input: inCluster({ gateway: { hostname: 'gw.example', resolved: [] } }),
    type: 'GatewayAddressKnown',
    reason: 'GatewayNameUnresolved',
    says: 'gw.example',
  },
];

describe('blocks the operation, with one finding that names object and cure, when', () => {
  test.each(rows)('$title', ({ input, type, reason, says }) => {
    expect(blockedBy(input)).toEqual([{ type, reason, message: expect.stringContaining(says) }]);
  });
});

test('reports every fault at once', () => {
  const input = {
    ...fresh,
    machine: { ...machine, hostname: 'web-7', hasSystemd: false },
    cluster: { ...cluster, namespaceIsAmbient: true },
  };
  expect(blocking(conditionsOf(input, now)).map(({ type }) => type)).toEqual([
    'HostnameMatches',
    'SystemdPresent',
    'SidecarMode',
  ]);
});

test('does not know of the package when its source does not answer', () => {
  const [found] = blocking(conditionsOf(failed('package', 'PackageSourceUnreachable'), now));
  expect(found).toMatchObject({ type: 'PackageAvailable', status: 'Unknown' });
});

test('takes a group of others that says what the request says', () => {
  const input = group({
    template: { labels: { app: 'orders', team: 'a' }, ports: { http: 8080 }, serviceAccount: 'orders' },
  });
  expect(blocking(conditionsOf(input, now))).toEqual([]);
});

test("takes a group whose labels are in its metadata, as in Istio's documentation", () => {
  const input = group({ metadata: { labels: { app: 'orders' } }, template: { ports: { http: 8080 } } });
  expect(blocking(conditionsOf(input, now))).toEqual([]);
});

test('holds the labels of a template above those of the metadata', () => {
  const input = group({
    metadata: { labels: { app: 'orders' } },
    template: { labels: { app: 'others' }, ports: { http: 8080 } },
  });
  expect(blocking(conditionsOf(input, now))).toMatchObject([{ reason: 'WorkloadGroupDiffers' }]);
});

test('finds no leftovers on a member', () => {
  expect(conditionsOf(member, now).map(({ type }) => type)).not.toContain('NoLeftovers');
});

test('takes a group as it is where the request describes no workload', () => {
  const found = group({ template: { ports: { http: 9090 } } });
  expect(blocking(conditionsOf({ ...found, request: requestWithoutWorkload }, now))).toEqual([]);
});

test('asks for no disk space and no free ports where an onboarding that was cut off goes on', () => {
  const input = { ...fresh, machine: { ...memberMachine, freeBytes: 0 } };
  expect(blocking(conditionsOf(input, now))).toEqual([]);
  expect(conditionsOf(input, now)).toContainEqual(
    expect.objectContaining({ type: 'NoLeftovers', category: 'Warning' }),
  );
});

test('keeps the time of a transition until the status changes', () => {
  const condition = (status: 'True' | 'False', lastTransitionTime: string) =>
    ({
      type: 'Reachable',
      status,
      category: 'Critical',
      reason: 'Reachable',
      message: '',
      lastTransitionTime,
    }) as const;
  expect(keepTransitions([condition('True', 'before')], [condition('True', 'now')])).toEqual([
    condition('True', 'before'),
  ]);
  expect(keepTransitions([condition('False', 'before')], [condition('True', 'now')])).toEqual([
    condition('True', 'now'),
  ]);
});
