/** The preflight of a migration: one row per finding, all of them told at once. */
import { describe, expect, test } from '@jest/globals';

import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts, FoundDeployment } from '../../activities/ports/cutover-port.ts';
import type { CreateMigration, MetricQuery } from '../../api/schemas/migration.ts';
import {
  cutoverConditions,
  type CutoverInput,
  protocolOf,
  nobodyServes,
  servesClients,
  sidesOf,
  smokePathOf,
  unreadable,
} from '../../workflows/plan/cutover-checks.ts';
import { cutoverSteps, smokePort, targetOf } from '../../workflows/plan/cutover-steps.ts';
import { replicasOf } from '../../workflows/plan/target-checks.ts';

const now = '2026-01-01T00:00:00.000Z';
const request: CreateMigration = {
  name: 'orders',
  namespace: 'shop',
  workloadGroup: 'orders',
  service: 'orders',
  target: { deployment: 'orders' },
  steps: [{ weight: 10 }, { weight: 50, hold: '5m' }, { weight: 100 }],
};
const entry = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  name: `orders-${name}`,
  address: '192.0.2.1',
  isHealthy: true,
  labels: {
    app: 'orders',
    'meshlift.dev/machine': name,
    'meshlift.dev/workload-group': 'orders',
    'topology.istio.io/network': 'vm-net',
    ...labels,
  },
});
const deployment: FoundDeployment = {
  replicas: 0,
  readyReplicas: 0,
  gitOps: [],
  labels: { app: 'orders', version: 'v2' },
  isInjected: true,
  serviceAccount: 'orders',
  containers: [{ name: 'app', image: 'orders:2', ports: [{ name: 'http', port: 8080 }], hasReadinessProbe: true }],
};
const service: NonNullable<CutoverFacts['service']> = {
  selector: { app: 'orders' },
  isHeadless: false,
  ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  like: { annotations: {}, spec: {} },
};
const facts: CutoverFacts = {
  host: 'orders.shop.svc.cluster.local',
  service,
  otherServices: [{ name: 'payments', selector: { app: 'payments' } }],
  group: { isOurs: true, annotations: {}, spec: { template: { serviceAccount: 'orders' } } },
  entries: [entry('orders-1'), entry('orders-2')],
  deployment,
  routes: [],
  gatewayRoutes: [],
  policies: [],
  objects: [],
};
const machines = ['orders-1', 'orders-2'].map((name) => ({ name, namespace: 'shop', phase: 'InMesh' as const }));
const ready: CutoverInput = { request, facts, machines };

const withFacts = (more: Partial<CutoverFacts>): CutoverInput => ({ ...ready, facts: { ...facts, ...more } });
const withDeployment = (more: Partial<FoundDeployment>): CutoverInput =>
  withFacts({ deployment: { ...deployment, ...more } });
const withService = (more: Partial<NonNullable<CutoverFacts['service']>>): CutoverInput =>
  withFacts({ service: { ...service, ...more } });
const asked = (more: Partial<CreateMigration>): CutoverInput => ({ ...ready, request: { ...request, ...more } });
const without = (field: 'service' | 'group' | 'deployment'): CutoverInput => {
  const rest = Object.fromEntries(Object.entries(facts).filter(([key]) => key !== field));
  return { ...ready, facts: rest as unknown as CutoverFacts };
};
const found = (input: CutoverInput) =>
  cutoverConditions(input, now)
    .filter(({ status }) => status !== 'True')
    .map(({ type, reason, category }) => ({ type, reason, category }));

test('a migration that can begin has no finding', () => {
  expect(found(ready)).toEqual([]);
  expect(cutoverConditions(ready, now).map(({ type }) => type)).toContain('EndpointsDistinguishable');
});

test('what cannot be read is the only finding, and says what is missing', () => {
  const forbidden = { type: 'ClusterForbidden', message: 'Facts for migration shop/orders: forbidden' };
  expect(unreadable(request, forbidden, now)).toMatchObject({
    ...{ type: 'ClusterReadable', status: 'False', reason: 'ClusterForbidden', category: 'Critical' },
    message: `${forbidden.message}; bind ClusterRole meshlift-migrations in namespace shop`,
  });
});

test.each<[string, CutoverInput['callers'], string[]]>([
  ['nobody was asked', undefined, []],
  ['everybody is in the mesh', [{ machine: 'orders-1', from: [] }], ['True CallersFollow']],
  [
    'somebody calls past it',
    [{ machine: 'orders-1', from: ['198.51.100.7 to port 8080'] }, { machine: 'orders-2' }],
    ['False CallersOutsideMesh 198.51.100.7 to port 8080 of orders-1'],
  ],
  [
    'a machine does not answer',
    [{ machine: 'orders-1', from: [] }, { machine: 'orders-2' }],
    ['False CallersUnknown orders-2'],
  ],
])('of callers is told where %s', (_, callers, told) => {
  const conditions = cutoverConditions({ ...ready, ...(callers === undefined ? {} : { callers }) }, now);
  const found = conditions.filter(({ type }) => type === 'CallersFollow');
  expect(found.map(({ status, reason, message }) => ({ status, reason, message }))).toEqual(
    told.map((line) => {
      const [status, reason, ...words] = line.split(' ');
      return { status, reason, message: expect.stringContaining(words.join(' ')) };
    }),
  );
});

const queried = (query: Partial<MetricQuery>): CutoverInput =>
  asked({ analysis: { queries: [{ name: 'errors', query: 'up', ...query }] } });

test.each<[string, CutoverInput, string]>([
  ['a query without a limit', queried({}), 'QueryFaulty'],
  [
    'a query that Prometheus refuses',
    { ...queried({ atMost: 1 }), queryFailure: { type: 'QueryRefused', message: 'no' } },
    'QueryRefused',
  ],
])('%s blocks', (_, input, reason) => {
  expect(found(input)).toEqual([{ type: 'QueriesAnswered', reason, category: 'Critical' }]);
});

test('queries that Prometheus takes are told', () => {
  expect(found(queried({ atMost: 1 }))).toEqual([]);
  expect(cutoverConditions(queried({ atMost: 1 }), now)).toContainEqual(
    expect.objectContaining({ type: 'QueriesAnswered', status: 'True', message: 'Prometheus takes errors' }),
  );
});

test('other Services that select the pods are told of, and do not hold it up', () => {
  const services = [
    { name: 'all-of-v2', selector: { version: 'v2' } },
    { name: 'machines', selector: { app: 'orders', version: 'v1' } },
  ];
  expect(found(withFacts({ otherServices: services }))).toEqual([
    { type: 'OneServiceSelects', reason: 'OtherServiceSelects', category: 'Warning' },
  ]);
});

const policy = (kind: string, spec: object): KubernetesObject => ({
  ...{ apiVersion: 'security.istio.io/v1', kind, spec },
  metadata: { namespace: 'shop', name: 'theirs' },
});
const ofPods = { version: 'v2' };

describe('policies of others', () => {
  const same = 'Both sides obey the same policies of others';

  test.each<[string, KubernetesObject, 'True' | 'False', string]>([
    ['for the whole namespace', policy('AuthorizationPolicy', {}), 'True', same],
    ['for both sides', policy('PeerAuthentication', { selector: { matchLabels: { app: 'orders' } } }), 'True', same],
    ['for neither', policy('AuthorizationPolicy', { selector: { matchLabels: { app: 'payments' } } }), 'True', same],
    [
      'for a waypoint',
      policy('AuthorizationPolicy', { targetRefs: [{ kind: 'Service', name: 'orders' }] }),
      'True',
      same,
    ],
    [
      'for pods alone',
      policy('AuthorizationPolicy', { selector: { matchLabels: ofPods } }),
      'False',
      'AuthorizationPolicy shop/theirs (pods, 0 of 2 machines)',
    ],
    [
      'for pods alone, as a Sidecar says it',
      policy('Sidecar', { workloadSelector: { labels: ofPods } }),
      'False',
      'Sidecar shop/theirs (pods, 0 of 2 machines)',
    ],
    [
      'for one machine',
      policy('PeerAuthentication', { selector: { matchLabels: { 'meshlift.dev/machine': 'orders-1' } } }),
      'False',
      'PeerAuthentication shop/theirs (no pod, 1 of 2 machines)',
    ],
  ])('%s', (_, theirs, status, told) => {
    const [condition] = cutoverConditions(withFacts({ policies: [theirs] }), now).filter(
      ({ type }) => type === 'SamePolicies',
    );
    expect(condition).toMatchObject({ status, category: 'Warning', message: expect.stringContaining(told) as unknown });
  });
});

const route = (kind: string, migration?: string) => ({
  ref: { apiVersion: 'networking.istio.io/v1', kind, namespace: 'shop', name: 'orders' },
  ...(migration === undefined ? {} : { migration }),
});

describe('a migration is refused where', () => {
  test.each<[string, CutoverInput, string, string]>([
    ['the Service is not there', without('service'), 'ServiceFound', 'ServiceMissing'],
    ['the Service is headless', withService({ isHeadless: true }), 'ServiceFound', 'ServiceHeadless'],
    ['the group is not there', without('group'), 'MachinesFound', 'WorkloadGroupMissing'],
    [
      'no machine of the group is healthy',
      withFacts({ entries: [{ ...entry('orders-1'), isHealthy: false }] }),
      'MachinesFound',
      'NoMachineServes',
    ],
    [
      'a machine that serves is nobody’s',
      { ...ready, machines: machines.slice(1) },
      'MachinesLookedAfter',
      'MachineNotInMesh',
    ],
    ['the Deployment is not there', without('deployment'), 'TargetFound', 'DeploymentMissing'],
    ['the Deployment is kept by a tool', withDeployment({ gitOps: ['Argo CD'] }), 'TargetFound', 'ManagedByGitOps'],
    ['its pods get no proxy', withDeployment({ isInjected: false }), 'TargetFound', 'NoProxyInjected'],
    ['its pods serve already', withDeployment({ replicas: 2 }), 'PodsNotServing', 'PodsServeAlready'],
    [
      'the Service does not select its pods',
      withDeployment({ labels: { version: 'v2' } }),
      'ServiceSelectsBoth',
      'PodsNotSelected',
    ],
    [
      'the Service does not select a machine',
      withFacts({ entries: [entry('orders-1'), entry('orders-2', { app: 'other' })] }),
      'ServiceSelectsBoth',
      'MachinesNotSelected',
    ],
    [
      'nothing tells pods from machines',
      withDeployment({ labels: { app: 'orders' } }),
      'EndpointsDistinguishable',
      'LabelsTheSame',
    ],
    [
      'a port does not say what it speaks',
      withService({ ports: [{ name: 'main', port: 80, targetPort: 8080 }] }),
      'ProtocolsDeclared',
      'ProtocolUnknown',
    ],
    [
      'no container has the port by name',
      withService({ ports: [{ name: 'http', port: 80, targetPort: 'web' }] }),
      'PortsServed',
      'PortMissing',
    ],
    [
      'pods do not say when they are ready',
      withDeployment({ containers: deployment.containers.map((one) => ({ ...one, hasReadinessProbe: false })) }),
      'ReadinessProbed',
      'NoReadinessProbe',
    ],
    ['others route the Service', withFacts({ routes: [route('VirtualService')] }), 'RoutesFree', 'RoutedAlready'],
    [
      'another migration moves it',
      withFacts({ routes: [route('DestinationRule', 'other')] }),
      'RoutesFree',
      'OtherMigration',
    ],
    [
      'the quota has no room',
      withFacts({ quotas: [{ name: 'pods', resource: 'pods', free: 1 }] }),
      'RoomForPods',
      'QuotaTooSmall',
    ],
    ['weights fall', asked({ steps: [{ weight: 50 }, { weight: 20 }] }), 'StepsRise', 'StepsFall'],
    ['a weight that is no step is to be approved', asked({ approvals: [30] }), 'StepsRise', 'ApprovalWithoutStep'],
  ])('%s', (_, input, type, reason) => {
    expect(found(input)).toContainEqual({ type, reason, category: 'Critical' });
  });
});

describe('a migration is warned where', () => {
  test.each<[string, CutoverInput, string, string, string]>([
    [
      'no container lists the port',
      withService({ ports: [{ name: 'http', port: 80, targetPort: 8081 }] }),
      'PortsServed',
      'PortNotListed',
      'Warning',
    ],
    [
      'pods run as another account',
      withDeployment({ serviceAccount: 'default' }),
      'SameIdentity',
      'OtherServiceAccount',
      'Warning',
    ],
    [
      'a port speaks TCP',
      withService({ ports: [{ name: 'tcp', port: 7070, targetPort: 8080 }] }),
      'TcpMovesAtOnce',
      'WeightsAreForHttp',
      'Advisory',
    ],
  ])('%s', (_, input, type, reason, category) => {
    expect(found(input)).toEqual([{ type, reason, category }]);
  });
});

test('a route of a gateway that is not there is named', () => {
  expect(found(asked({ ownGatewayRoutes: [{ virtualService: 'edge', route: 'orders' }] }))).toEqual([
    { type: 'GatewayRoutesFound', reason: 'RouteMissing', category: 'Critical' },
  ]);
});

test('a route of a gateway that the migration leads is nobody else’s', () => {
  const own = { namespace: 'shop', virtualService: 'orders', route: 'main' };
  const input = withFacts({ routes: [route('VirtualService')], gatewayRoutes: [{ ...own, destinations: [] }] });
  expect(found({ ...input, request: { ...request, ownGatewayRoutes: [own] } })).toEqual([]);
});

test('a VirtualService that sidecars follow as well is no route of a gateway', () => {
  const own = { namespace: 'shop', virtualService: 'orders', route: 'main' };
  const gatewayRoutes = [{ ...own, destinations: [], isOfMesh: true as const }];
  const input = withFacts({ routes: [route('VirtualService')], gatewayRoutes });
  expect(found({ ...input, request: { ...request, ownGatewayRoutes: [own] } })).toEqual([
    { type: 'GatewayRoutesFound', reason: 'RouteOfMesh', category: 'Critical' },
  ]);
});

test.each([
  ['the namespace of a client', 'bank', { type: 'RoutesFree', reason: 'RoutedAlready', category: 'Critical' }],
  ['the namespace of the Service', 'shop', { type: 'RulesHold', reason: 'RulesOutranked', category: 'Warning' }],
  ['the root namespace', 'istio-system', { type: 'RulesHold', reason: 'RulesOutranked', category: 'Warning' }],
])('a DestinationRule with a wildcard in %s is told', (_, namespace, finding) => {
  const { ref } = route('DestinationRule');
  const routes = [{ ref: { ...ref, namespace }, isWildcard: true as const }];
  expect(found(withFacts({ routes, rootNamespace: 'istio-system' }))).toEqual([finding]);
});

test.each([
  ['registered without a probe', {}, true],
  ['healthy', { isHealthy: true }, true],
  ['unhealthy', { isHealthy: false }, false],
  ['drained', { labels: { 'istio.io/draining': '01HZ.a' } }, false],
])('a machine that is %s serves clients: %#', (_, more, serves) => {
  expect(servesClients({ name: 'orders-1', address: '192.0.2.1', labels: {}, ...more })).toBe(serves);
});

const entryThat = (isHealthy: boolean) => ({ name: 'orders-1', address: '192.0.2.1', labels: {}, isHealthy });
test.each([
  ['none is there', [], 'No machine of WorkloadGroup shop/orders serves (none is registered)'],
  [
    'none is healthy',
    [entryThat(false)],
    'No machine of WorkloadGroup shop/orders serves (each is drained or unhealthy)',
  ],
  ['one of them serves', [entryThat(false), entryThat(true)], undefined],
])('whether machines would take traffic where %s', (_, entries, nobody) => {
  expect(nobodyServes({ namespace: 'shop', workloadGroup: 'orders' }, entries)).toBe(nobody);
});

test.each<[string, string[][], string]>([
  [
    'with the tools that own them',
    [['Argo CD'], []],
    'VirtualService shop/orders (Argo CD), DestinationRule shop/orders; name the routes of gateways in ownGatewayRoutes, and remove the others for the time of the migration, where Argo CD would not put them back:',
  ],
  [
    'without any, where nobody marks them',
    [[], []],
    'VirtualService shop/orders, DestinationRule shop/orders; name the routes of gateways in ownGatewayRoutes, and remove the others for the time of the migration:',
  ],
  ['each tool once', [['Flux', 'Helm'], ['Helm']], '(Flux, Helm), DestinationRule shop/orders (Helm); '],
])('routes of others are named %s', (_, [first = [], second = []], told) => {
  const routes = [
    { ...route('VirtualService'), gitOps: first },
    { ...route('DestinationRule'), gitOps: second },
  ];
  const conditions = cutoverConditions(withFacts({ routes }), now);
  expect(conditions.find(({ type }) => type === 'RoutesFree')).toMatchObject({
    ...{ reason: 'RoutedAlready', category: 'Critical' },
    message: expect.stringContaining(told) as unknown,
  });
});

test('everything that is wrong is told at once', () => {
  const wrong = { ...withDeployment({ labels: { app: 'orders' }, isInjected: false }), machines: [] };
  expect(found(wrong).map(({ reason }) => reason)).toEqual(['MachineNotInMesh', 'NoProxyInjected', 'LabelsTheSame']);
});

describe('endpoints are told apart', () => {
  test('by what all of one side carry and none of the other, where they are left out', () => {
    expect(sidesOf(facts)).toEqual({
      machineLabels: { 'meshlift.dev/workload-group': 'orders' },
      podLabels: { version: 'v2' },
    });
  });
  test('also where both have the label with another value', () => {
    const entries = [entry('orders-1', { version: 'v1' }), entry('orders-2', { version: 'v1' })];
    expect(sidesOf({ ...facts, entries })?.machineLabels).toEqual({
      'meshlift.dev/workload-group': 'orders',
      version: 'v1',
    });
  });
  test('not where a machine carries what pods do', () => {
    const entries = [entry('orders-1'), entry('orders-2', { version: 'v2' })];
    expect(sidesOf({ ...facts, entries })).toBeUndefined();
  });
});

test.each([
  [{ name: 'http' }, 'http'],
  [{ name: 'grpc-api' }, 'http'],
  [{ name: 'main', appProtocol: 'kubernetes.io/h2c' }, 'http'],
  [{ name: 'tcp-mail' }, 'tcp'],
  [{ name: 'http-but', appProtocol: 'tcp' }, 'tcp'],
  [{ name: 'httpish' }, undefined],
  [{}, undefined],
])('a port %j speaks %s', (port, protocol) => {
  expect(protocolOf(port)).toBe(protocol);
});

test('as many pods start as there are machines, unless told otherwise', () => {
  expect(replicasOf(ready)).toBe(2);
  expect(replicasOf(asked({ target: { deployment: 'orders', replicas: 5 } }))).toBe(5);
});

test("pods are called at the path of the group's probe", () => {
  expect(smokePathOf({ isOurs: true, annotations: {}, spec: { probe: { httpGet: { path: '/healthz' } } } })).toBe(
    '/healthz',
  );
  expect(smokePathOf(facts.group)).toBe('/');
});

test('the run has a step per weight, and leaves only where the last one is 100', () => {
  expect(cutoverSteps(request)).toEqual([
    ...[
      'claimMachines',
      'applySubsets',
      'guardService',
      'startPods',
      'smokeTest',
      'shiftTo10',
      'shiftTo50',
      'shiftTo100',
    ],
    ...['soak', 'awaitFinalize', 'proveSilence', 'retireMachines', 'removeRoutes'],
  ]);
  expect(cutoverSteps({ ...request, cutoverAt: now })[5]).toBe('awaitCutover');
  expect(cutoverSteps({ ...request, steps: [{ weight: 20 }] }).slice(5)).toEqual(['shiftTo20', 'holdSplit']);
});

test('smoke requests go to a port that answers a plain GET', () => {
  const grpc = { port: 9090, protocol: 'http', isGrpc: true } as const;
  const plain = { port: 80, protocol: 'http' } as const;
  expect(smokePort({ ports: [{ port: 7070, protocol: 'tcp' }, grpc, plain] })).toBe(80);
  expect(smokePort({ ports: [grpc] })).toBeUndefined();
});

test('it routes the ports of the Service by what they speak', () => {
  const ports = [
    { name: 'http', port: 80 },
    { name: 'tcp', port: 7070 },
  ];
  expect(targetOf(withService({ ports }))).toMatchObject({
    migration: 'orders',
    host: 'orders.shop.svc.cluster.local',
    // Other Deployments of the namespace may have a version v2 as well.
    podSelector: { app: 'orders', version: 'v2' },
    ports: [
      { port: 80, protocol: 'http' },
      { port: 7070, protocol: 'tcp' },
    ],
  });
});
