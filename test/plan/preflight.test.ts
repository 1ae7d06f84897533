/** What an onboarding finds on a machine and around it, beyond what the first machines needed: one row per finding. */
import { describe, expect, test } from '@jest/globals';

import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { Connection, MachineFacts } from '../../activities/ports/host-port.ts';
import { blocking, conditionsOf } from '../../workflows/plan/conditions.ts';
import type { PlanInput } from '../../workflows/plan/plan-input.ts';
import { blockedBy, cluster, fresh, machine, member, memberMachine, now, request, without } from './facts.ts';

const onMachine = (changes: Partial<MachineFacts>): PlanInput => ({ ...fresh, machine: { ...machine, ...changes } });
const onMember = (changes: Partial<MachineFacts>): PlanInput => ({
  ...member,
  machine: { ...memberMachine, ...changes },
});
const inCluster = (changes: Partial<NonNullable<PlanInput['cluster']>>): PlanInput => ({
  ...fresh,
  cluster: { ...cluster, ...changes },
});
const proxy = (runningVersion: string) => onMember({ proxy: { ready: true, runningVersion } });
const resolver = (changes: Partial<MachineFacts['resolver']>) =>
  onMachine({ resolver: { ...machine.resolver, ...changes } });
const policy = (kind: string, spec: unknown, namespace = 'shop'): KubernetesObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind,
  metadata: { name: 'others', namespace },
  spec,
});
const caller: Connection = {
  local: '192.0.2.11:8080',
  remote: '198.51.100.7',
  direction: 'inbound',
  process: 'orders',
};
const withPolicies = (policies: readonly KubernetesObject[], connections: readonly Connection[] = [caller]) => ({
  ...fresh,
  cluster: { ...cluster, policies },
  machine: { ...machine, connections },
});
const probed = (probe: object, address: string): PlanInput => ({
  ...fresh,
  request: { ...request, workload: { ...request.workload, probe: probe as never } },
  machine: { ...machine, listening: [{ address, port: 5432 }] },
});
const entry = (labels: Readonly<Record<string, string>>, isMember = false): PlanInput => ({
  ...(isMember ? member : fresh),
  entry: { name: 'orders-192.0.2.11', address: '192.0.2.11', labels },
});
const finding = (input: PlanInput, type: string) => conditionsOf(input, now).find((found) => found.type === type);

interface Row {
  readonly title: string;
  readonly input: PlanInput;
  readonly type: string;
  readonly reason: string;
  readonly says: string;
}

const critical: readonly Row[] = [
  {
    title: 'the clock is a minute and more off',
    input: onMachine({ machineTime: '2026-11-22T11:58:40Z' }),
    type: 'ClockWithinLimits',
    reason: 'ClockOff',
    says: '80 s behind',
  },
  {
    title: 'the machine does not tell its time',
    input: onMachine({ machineTime: '' }),
    type: 'ClockWithinLimits',
    reason: 'ClockUnreadable',
    says: 'orders-1',
  },
  {
    title: 'no port of sshd is known',
    input: onMachine({ sshdPorts: [] }),
    type: 'SshPortsKnown',
    reason: 'SshPortsUnknown',
    says: 'ss -ltnp',
  },
  {
    title: 'files of a hand-made join are there',
    input: onMachine({
      files: [{ path: '/var/lib/istio/envoy/cluster.env', mode: '0644', owner: 'root:root', sha256: 'theirs' }],
    }),
    type: 'NoForeignIstio',
    reason: 'IstioOfOthers',
    says: '/var/lib/istio/envoy/cluster.env',
  },
  {
    title: 'a pilot-agent of others runs',
    input: onMachine({ proxyProcesses: ['envoy', 'pilot-agent'] }),
    type: 'NoForeignIstio',
    reason: 'IstioOfOthers',
    says: 'pilot-agent',
  },
  {
    title: 'the machine cannot connect to the gateway',
    input: onMachine({ targets: [{ target: '192.0.2.1:15012', isReachable: false }] }),
    type: 'GatewayReachable',
    reason: 'GatewayUnreachable',
    says: '192.0.2.1:15012',
  },
  {
    title: 'another machine of the group has the address',
    input: entry({ 'meshlift.dev/machine': 'orders-2' }),
    type: 'AddressUnique',
    reason: 'AddressTaken',
    says: 'orders-2',
  },
  {
    title: 'a machine that was joined by hand has the address',
    input: entry({}),
    type: 'AddressUnique',
    reason: 'AddressTaken',
    says: 'orders-192.0.2.11',
  },
  {
    title: 'nobody could say who has the address',
    input: { ...fresh, failures: { entry: { type: 'ClusterForbidden', message: 'grant get on workloadentries' } } },
    type: 'AddressUnique',
    reason: 'ClusterForbidden',
    says: 'grant',
  },
  {
    title: 'the root certificate cannot be read',
    input: { ...fresh, cluster: without(cluster, 'rootCertificateExpiresAt') },
    type: 'RootCertificatePresent',
    reason: 'RootCertificateUnreadable',
    says: 'shop/istio-ca-root-cert',
  },
  {
    title: 'the root certificate has run out',
    input: inCluster({ rootCertificateExpiresAt: '2026-11-22T11:59:59.000Z' }),
    type: 'RootCertificatePresent',
    reason: 'RootCertificateExpired',
    says: '2026-11-22T11:59:59.000Z',
  },
  {
    title: 'a Sidecar of others selects the machine by a label of its group',
    input: inCluster({ policies: [policy('Sidecar', { workloadSelector: { labels: { app: 'orders' } } })] }),
    type: 'NoOverlappingPolicies',
    reason: 'PolicyOverlaps',
    says: 'Sidecar shop/others',
  },
  {
    title: "a PeerAuthentication of others selects it by Istio's own label",
    input: inCluster({
      policies: [
        policy('PeerAuthentication', {
          selector: { matchLabels: { 'service.istio.io/canonical-name': 'orders' } },
          mtls: { mode: 'STRICT' },
        }),
      ],
    }),
    type: 'NoOverlappingPolicies',
    reason: 'PolicyOverlaps',
    says: 'PeerAuthentication shop/others',
  },
  {
    title: "an AuthorizationPolicy of the namespace refuses one of today's callers",
    input: withPolicies([policy('AuthorizationPolicy', { rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] })]),
    type: 'CallersAllowed',
    reason: 'CallersRefused',
    says: '198.51.100.7 on port 8080',
  },
  {
    title: 'an AuthorizationPolicy of the whole mesh refuses one of them',
    input: withPolicies([policy('AuthorizationPolicy', {}, 'istio-system')]),
    type: 'CallersAllowed',
    reason: 'CallersRefused',
    says: 'AuthorizationPolicy istio-system/others',
  },
];

describe('blocks the operation, with one finding that names object and cure, when', () => {
  test.each(critical)('$title', ({ input, type, reason, says }) => {
    expect(blockedBy(input)).toEqual([{ type, reason, message: expect.stringContaining(says) }]);
  });
});

const warnings: readonly Row[] = [
  {
    title: 'the application does not listen where a tcpSocket probe asks',
    input: probed({ tcpSocket: { port: 5432 } }, '192.0.2.11'),
    type: 'ProbeAnswered',
    reason: 'ProbeUnanswered',
    says: 'only at 192.0.2.11; let the application listen on localhost too',
  },
  {
    title: 'the application does not listen where a grpc probe asks',
    input: probed({ grpc: { port: 5432 } }, '[2001:db8::11]'),
    type: 'ProbeAnswered',
    reason: 'ProbeUnanswered',
    says: 'localhost:5432 on orders-1',
  },
  {
    title: 'the clock is some seconds off',
    input: onMachine({ machineTime: '2026-11-22T12:00:30Z' }),
    type: 'ClockWithinLimits',
    reason: 'ClockOff',
    says: '30 s ahead',
  },
  {
    title: 'an Envoy of others runs',
    input: onMachine({ proxyProcesses: ['envoy'] }),
    type: 'NoForeignIstio',
    reason: 'EnvoyOfOthers',
    says: '15000 to 15090',
  },
  {
    title: 'rules of others redirect traffic',
    input: onMachine({ redirects: ['-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080'] }),
    type: 'NoOtherRedirects',
    reason: 'TrafficRedirected',
    says: '--dport 80 -j REDIRECT',
  },
  {
    title: 'Docker has interfaces there',
    input: onMachine({ interfaces: ['lo', 'eth0', 'docker0', 'br-1f2e', 'veth12'] }),
    type: 'NoContainerNetworks',
    reason: 'ContainerNetworksFound',
    says: 'docker0, br-1f2e, veth12',
  },
  {
    title: 'there is no nameserver to capture',
    input: resolver({ nameservers: [] }),
    type: 'ResolverCompatible',
    reason: 'NoNameserver',
    says: '/etc/resolv.conf',
  },
  {
    title: 'dnsmasq is asked beside the servers that it asks itself',
    input: resolver({ services: ['dnsmasq'], nameservers: ['127.0.0.1', '192.0.2.53'] }),
    type: 'ResolverCompatible',
    reason: 'ResolverLoops',
    says: 'leave only 127.0.0.1',
  },
  {
    title: 'names are asked of systemd-resolved over its own socket',
    input: resolver({
      services: ['systemd-resolved'],
      nameservers: ['127.0.0.53'],
      sources: ['files', 'resolve', 'dns'],
    }),
    type: 'ResolverCompatible',
    reason: 'ResolverBypassed',
    says: '/etc/nsswitch.conf',
  },
  {
    title: 'one of two addresses of the gateway cannot be reached',
    input: onMachine({
      targets: [
        { target: '192.0.2.1:15012', isReachable: true },
        { target: '192.0.2.2:15012', isReachable: false },
      ],
    }),
    type: 'GatewayReachable',
    reason: 'GatewayUnreachable',
    says: '192.0.2.2:15012',
  },
  {
    title: 'a proxy is two minor versions behind its istiod',
    input: proxy('1.28.3'),
    type: 'RevisionSupported',
    reason: 'VersionBehind',
    says: '1.28.3',
  },
  {
    title: 'a proxy is ahead of its istiod',
    input: proxy('1.30.1'),
    type: 'RevisionSupported',
    reason: 'AheadOfControlPlane',
    says: '1.30.1',
  },
  {
    title: 'an AuthorizationPolicy refuses plaintext callers, and none is connected now',
    input: withPolicies([policy('AuthorizationPolicy', { rules: [{}], action: 'DENY' })], []),
    type: 'CallersAllowed',
    reason: 'CallersMayBeRefused',
    says: 'AuthorizationPolicy shop/others',
  },
];

describe('warns, and blocks nothing, when', () => {
  test.each(warnings)('$title', ({ input, type, reason, says }) => {
    expect(blocking(conditionsOf(input, now))).toEqual([]);
    expect(finding(input, type)).toMatchObject({ status: 'False', category: 'Warning', reason });
    expect(finding(input, type)?.message).toContain(says);
  });
});

const fine: readonly (readonly [title: string, input: PlanInput, type: string, says: string])[] = [
  [
    'a package that was installed before, with the empty file that it makes',
    onMachine({
      installedVersion: '1.30.0',
      files: [
        {
          path: '/etc/istio/config/mesh',
          mode: '0644',
          owner: 'istio-proxy:istio-proxy',
          sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
        },
      ],
    }),
    'NoForeignIstio',
    'orders-1',
  ],
  ['arm64', onMachine({ architecture: 'arm64' }), 'OsSupported', 'arm64'],
  ['the .rpm family', onMachine({ packageFormat: 'rpm' }), 'OsSupported', 'Debian'],
  ['a clock that is some seconds off', onMachine({ machineTime: '2026-11-22T12:00:09Z' }), 'ClockWithinLimits', ''],
  ['a proxy that is one minor version behind', proxy('1.29.5'), 'RevisionSupported', '1.29.5'],
  ['an entry that is its own', entry({ 'meshlift.dev/machine': 'orders-1' }), 'AddressUnique', '192.0.2.11'],
  ["a member's entry without a label", entry({}, true), 'AddressUnique', '192.0.2.11'],
  ['a service account that is yet to be', fresh, 'ServiceAccountFound', 'shop/orders is created'],
  [
    'a service account that is there',
    inCluster({ serviceAccountExists: true }),
    'ServiceAccountFound',
    'shop/orders exists',
  ],
  [
    'systemd-resolved behind DNS',
    resolver({ services: ['systemd-resolved'], nameservers: ['127.0.0.53'] }),
    'ResolverCompatible',
    'systemd-resolved',
  ],
  ['Consul', resolver({ services: ['dnsmasq', 'consul'], nameservers: ['127.0.0.1'] }), 'ResolverCompatible', 'consul'],
  [
    'policies that select other workloads, or whole namespaces',
    inCluster({
      policies: [
        policy('Sidecar', { workloadSelector: { labels: { app: 'web' } } }),
        policy('Sidecar', { egress: [] }),
        policy('PeerAuthentication', { mtls: { mode: 'STRICT' } }),
      ],
    }),
    'NoOverlappingPolicies',
    'orders-1',
  ],
  [
    'an AuthorizationPolicy for others, for a waypoint, or of another namespace',
    withPolicies([
      policy('AuthorizationPolicy', { selector: { matchLabels: { app: 'web' } } }),
      policy('AuthorizationPolicy', { targetRefs: [{ kind: 'Gateway', name: 'waypoint' }] }),
      policy('AuthorizationPolicy', {}, 'bank'),
    ]),
    'CallersAllowed',
    'orders-1',
  ],
  [
    'a jump host on the way',
    {
      ...fresh,
      request: { ...request, host: { ...request.host, jump: { ...request.host, user: 'hop', address: '192.0.2.9' } } },
    },
    'Reachable',
    'hop@192.0.2.9',
  ],
];

describe('holds with', () => {
  test.each(fine)('%s', (_title, input, type, says) => {
    expect(finding(input, type)).toMatchObject({ status: 'True' });
    expect(finding(input, type)?.message).toContain(says);
  });
});

test('says that packages were not looked for, and stops nothing by that', () => {
  const input: PlanInput = {
    ...fresh,
    failures: { package: { type: 'PackageSourceUnset', message: 'not looked for' } },
  };
  expect(blocking(conditionsOf(input, now))).toEqual([]);
  expect(finding(input, 'PackageAvailable')).toMatchObject({ status: 'Unknown', category: 'Advisory' });
});

test('lists who is connected, both ways, and which servers speak first', () => {
  const input = onMachine({
    connections: [
      caller,
      { local: '192.0.2.11', remote: '203.0.113.5:5432', direction: 'outbound', process: 'orders' },
    ],
    serverFirstPorts: [3306],
    listening: [{ address: '0.0.0.0', port: 3306, process: 'mysqld' }],
  });
  expect(finding(input, 'InboundConnections')).toMatchObject({ category: 'Advisory' });
  expect(finding(input, 'InboundConnections')?.message).toContain('198.51.100.7 to port 8080');
  expect(finding(input, 'OutboundConnections')?.message).toContain('203.0.113.5:5432 (orders)');
  expect(finding(input, 'ServerFirstPorts')?.message).toContain('3306 (mysqld)');
});

test('counts what it does not name', () => {
  const connections = Array.from({ length: 30 }, (_, index) => ({ ...caller, remote: `198.51.100.${index}` }));
  expect(finding(onMachine({ connections }), 'InboundConnections')?.message).toContain('and 22 more');
});

test('says nothing of the connections of a captured machine, which run through its proxy', () => {
  const types = conditionsOf(onMember({ connections: [caller] }), now).map(({ type }) => type);
  expect(types).not.toContain('InboundConnections');
  expect(types).not.toContain('NoForeignIstio');
});

test.each([
  ['on every address', { tcpSocket: { port: 5432 } }, '*', ['True']],
  ['on localhost', { grpc: { port: 5432 } }, '[::1]', ['True']],
  ['where the probe goes to a host of its own', { tcpSocket: { port: 5432, host: '192.0.2.11' } }, '192.0.2.11', []],
  ['where the probe lets itself be told by HTTP', { httpGet: { port: 5432 } }, '192.0.2.11', []],
])('a probe is answered by an application that listens %s', (_, probe, address, statuses) => {
  const found = conditionsOf(probed(probe, address), now).filter(({ type }) => type === 'ProbeAnswered');
  expect(found.map(({ status }) => status)).toEqual(statuses);
});
