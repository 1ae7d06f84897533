/** Facts of a cluster and a machine on which everything is as an onboarding wants it; tests change one thing each. */
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { OperationPhase } from '../../api/schemas/operation.ts';
import type { OperationOutcome } from '../../workflows/messages.ts';
import { blocking, conditionsOf } from '../../workflows/plan/conditions.ts';
import type { QueuedOperation } from '../../workflows/plan/machine-state.ts';
import type { DecidableInput, PlanInput } from '../../workflows/plan/plan-input.ts';

export const now = '2026-11-22T12:00:00.000Z';

export const request: OnboardMachine = {
  name: 'orders-1',
  namespace: 'shop',
  workloadGroup: 'orders',
  workload: { labels: { app: 'orders' }, ports: { http: 8080 } },
  host: {
    address: '192.0.2.11',
    user: 'ops',
    credentialsName: 'ops-key',
    hostKey: { fingerprint: `SHA256:${'A'.repeat(43)}` },
  },
};

export const cluster = {
  namespaceExists: true,
  namespaceIsAmbient: false,
  serviceAccountExists: false,
  revision: { name: '1-30-0', version: '1.30.0', readyReplicas: 1 },
  meshConfig: 'defaultConfig: {}',
  rootCertificate: 'PEM',
  rootCertificateExpiresAt: '2036-11-22T12:00:00.000Z',
  gateway: { ip: '192.0.2.1' },
  objects: [],
  policies: [],
} as const satisfies ClusterFacts;

export const machine: MachineFacts = {
  hostKeyFingerprint: `SHA256:${'A'.repeat(43)}`,
  hostname: 'orders-1',
  resolvesOwnHostname: true,
  os: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12' },
  architecture: 'amd64',
  packageFormat: 'deb',
  hasSystemd: true,
  missingTools: [],
  machineTime: now,
  workerTime: now,
  addresses: ['192.0.2.11'],
  ownAddress: '192.0.2.11',
  files: [],
  unit: { exists: false, activeState: 'inactive', enabled: false },
  proxy: { ready: false },
  isCaptured: false,
  isHeld: false,
  isEnforced: false,
  excludedPorts: [],
  proxyProcesses: [],
  redirects: [],
  interfaces: ['lo', 'eth0'],
  listening: [{ address: '0.0.0.0', port: 8080, process: 'orders' }],
  sshdPorts: [22],
  serverFirstPorts: [],
  connections: [],
  flows: [],
  targets: [{ target: '192.0.2.1:15012', isReachable: true }],
  resolver: { nameservers: ['192.0.2.53'], services: [], sources: ['files', 'dns'] },
  freeBytes: 4 * 1024 ** 3,
  journal: { fence: 0, steps: [], entries: 0, deadManArmed: false },
};

const label = { 'meshlift.dev/machine': 'orders-1' };

export const rendered = {
  files: [
    {
      path: '/var/lib/istio/envoy/cluster.env',
      mode: '0644',
      owner: 'root:root',
      content: 'A=1\n',
      sha256: 'env',
      compare: 'bytes',
    },
    {
      path: '/etc/certs/root-cert.pem',
      mode: '0644',
      owner: 'istio-proxy:istio-proxy',
      content: '-----BEGIN CERTIFICATE-----\nAA\nAA\n-----END CERTIFICATE-----\n',
      sha256: 'pem',
      compare: 'certificateSet',
    },
  ],
  hostsLines: ['192.0.2.1 istiod-1-30-0.istio-system.svc'],
  objects: [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadGroup',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: { template: { ports: { http: 8080 } } },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Sidecar',
      metadata: { name: 'meshlift-orders-1', namespace: 'shop', labels: label },
      spec: { egress: [{ hosts: ['./*'] }] },
    },
  ],
  serviceAccount: 'orders',
  enforcement: 'observe',
  excludedPorts: [],
  network: '',
  address: '192.0.2.11',
  token: { path: '/var/run/secrets/tokens/istio-token', mode: '0600', owner: 'istio-proxy:istio-proxy' },
} as const satisfies DecidableInput['rendered'];

/** A machine that was never touched, in a cluster that is ready for it. */
export const fresh: DecidableInput = { request, isMember: false, cluster, machine, rendered, failures: {} };

/** The same machine as a member. */
export const memberMachine: MachineFacts = {
  ...machine,
  installedVersion: '1.30.0',
  files: [
    ...rendered.files.map(({ path, mode, owner, sha256 }) => ({ path, mode, owner, sha256 })),
    { ...rendered.token, sha256: 'token' },
  ],
  hostsBlock: rendered.hostsLines,
  unit: { exists: true, activeState: 'active', enabled: true, invocationId: 'one' },
  proxy: { ready: true, runningVersion: '1.30.0', spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders' },
  isCaptured: true,
  listening: [...machine.listening, { address: '0.0.0.0', port: 15021, process: 'envoy' }],
  journal: { fence: 1, steps: [], entries: 9, deadManArmed: false },
};

export const member: DecidableInput = {
  ...fresh,
  isMember: true,
  machine: memberMachine,
  cluster: {
    ...cluster,
    workloadGroup: {
      isOurs: true,
      annotations: {},
      spec: { template: { ports: { http: 8080 }, labels: { app: 'orders' } } },
    },
    objects: [...rendered.objects],
  },
};

/** The same without some fields: what could not be read is absent, never undefined. */
export function without<T extends object, K extends keyof T>(facts: T, ...keys: readonly K[]): Omit<T, K> {
  return Object.fromEntries(Object.entries(facts).filter(([key]) => !keys.includes(key as K))) as Omit<T, K>;
}

/** What blocks an operation on these facts. */
export const blockedBy = (input: PlanInput) =>
  blocking(conditionsOf(input, now)).map(({ type, reason, message }) => ({ type, reason, message }));

/** How an operation on `orders-1` ended that did no step. */
export const outcomeOf = (
  { operationId, verb }: Pick<QueuedOperation, 'operationId' | 'verb'>,
  phase: OperationPhase,
  rest: Partial<OperationOutcome> = {},
): OperationOutcome => ({
  operationId,
  operation: {
    id: operationId,
    verb,
    target: { namespace: request.namespace, name: request.name },
    phase,
    steps: [],
    conditions: [],
  },
  fence: 1,
  leftBehind: false,
  ...rest,
});
