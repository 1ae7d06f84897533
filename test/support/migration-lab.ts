/** A workload on machines and the Deployment that is to take over, in a namespace of the test's own. */
import type { CreateMigration, MetricQuery } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { type LoadReport, startLoad } from '../../demo/load.ts';
import { podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects, deployTarget, type Variant } from '../../demo/target.ts';
import { migrationsBinding, selectorsBinding } from './deployed.ts';
import { type DrainLab, drainLab } from './drain-lab.ts';
import type { Platform } from './platform.ts';
import { retriesOfMachine, retriesOfPod } from './retries.ts';
import { command, kubectl } from './sandbox.ts';

/** Callers of every kind at once: a pod and a machine of another group in the mesh, and one outside of it. */
interface Load {
  readonly sent: () => Promise<number>;
  readonly stop: () => Promise<LoadReport[]>;
}

/** As the sandbox's Prometheus has it; a class that was never counted is none. */
const requests = (more: string): string =>
  `sum(rate(envoy_cluster_upstream_rq{namespace="{{namespace}}",cluster_name=~"inbound.*",side="pods"${more}}[{{window}}]))`;
export const shareOfErrors: Pick<MetricQuery, 'name' | 'query'> = {
  name: 'errors',
  query: `(${requests(',response_code_class="5xx"')} or vector(0)) / ${requests('')}`,
};
const p99 = (side: string): string =>
  `histogram_quantile(0.99, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{namespace="{{namespace}}",cluster_name=~"inbound.*",side="${side}"}[{{window}}])))`;
export const p99OfBoth: MetricQuery = {
  ...{ name: 'p99', query: p99('pods'), machinesQuery: p99('machines') },
  maxRatio: 10,
};

/** An application that calls, and how it reaches `orders`. */
interface Caller {
  readonly app: string;
  readonly url: string;
}

export interface MigrationLab extends DrainLab {
  readonly machines: readonly SandboxMachine[];
  /** A machine in the mesh, of another group, that calls. */
  readonly caller: SandboxMachine;
  /** A machine that is in no mesh: it calls through the ingress gateway. */
  readonly outside: SandboxMachine;
  /** The ingress gateway leads to `orders`, by route `orders` of VirtualService `edge`. */
  readonly load: () => Promise<Load>;
  /**
   * How often the proxies of the callers tried again, which would hide a loss. To be asked while the run stands: with a subset goes what
   * was counted of it.
   */
  readonly retries: () => Promise<number>;
  /** Of `orders` to the Deployment of that name, in short steps. */
  readonly request: (name: string, more?: Partial<CreateMigration>) => CreateMigration;
  /** The Deployment anew, without pods, as this says. */
  readonly deploy: (variant: Variant) => Promise<void>;
  readonly start: (request: CreateMigration) => Promise<Operation>;
  /** Throws unless it is taken. */
  readonly control: (id: string, action: string, reason?: string) => Promise<void>;
  /** A pod and a machine in the mesh, and one outside of it, which comes by the ingress gateway. */
  readonly callers: () => Promise<Readonly<Record<'pod' | 'machine' | 'outside', Caller>>>;
  /** How many of so many requests of a caller, by default the pod, each hostname answers. */
  readonly answeredBy: (requests: number, caller?: Caller) => Promise<Readonly<Record<string, number>>>;
  /** The hostnames that answer so many requests at the ingress gateway. */
  readonly gatewayAnsweredBy: (requests: number) => Promise<readonly string[]>;
  /** A DestinationRule for `orders` in the namespace of the pod that calls. */
  readonly clientRule: () => Promise<{ readonly remove: () => Promise<void> }>;
  /** Service `orders`, all of it but the number of its last write. */
  readonly service: () => Promise<object>;
  /**
   * What the migrations of the namespace have left: routes, Services, Deployments, pods, replicas that are not 0, machines out of phase
   * InMesh.
   */
  readonly left: () => Promise<string[]>;
}

/** `count` machines of group `orders`, onboarded, and a Deployment `orders` of version v2 with no pods yet. */
export async function migrationLab(platform: Platform, prefix: string, count: number): Promise<MigrationLab> {
  const lab = await drainLab(platform, prefix, ['orders']);
  const namespace = lab.namespace.name;
  await applyObjects([migrationsBinding(namespace), selectorsBinding(namespace)]);
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  const [outside, caller, ...machines] = await Promise.all(
    [`${prefix}-outside`, `${prefix}-caller`, ...names].map((name) => lab.machine(name)),
  );
  if (outside === undefined || caller === undefined) throw new Error('unreachable');
  await Promise.all([lab.onboard(caller, 'caller'), ...machines.map((machine) => lab.onboard(machine, 'orders'))]);
  await deployTarget(namespace, 'orders');
  await applyObjects([edge(namespace)]);
  await eventually('the ingress gateway leads to the machines', async () => (await fetch(platform.env.ingress)).ok);
  const callers = async (): Promise<Readonly<Record<'pod' | 'machine' | 'outside', Caller>>> => {
    const url = `http://${hostOf(namespace)}/`;
    return {
      pod: { app: `http://${await podAddress('shop', 'app=frontend')}:8080`, url },
      machine: { app: `http://${caller.address}:8080`, url },
      outside: { app: `http://${outside.address}:8080`, url: `${platform.env.ingress}/` },
    };
  };
  return {
    ...lab,
    machines,
    caller,
    outside,
    deploy: (variant) => deployTarget(namespace, 'orders', variant),
    callers,
    load: async () => await loadOf(namespace, await callers()),
    retries: async () => {
      const host = hostOf(namespace);
      const retries = await Promise.all([
        retriesOfPod('shop', 'frontend', host),
        retriesOfMachine(caller, host),
        retriesOfPod('istio-system', 'istio-ingressgateway', host),
      ]);
      return retries.reduce((sum, count) => sum + count, 0);
    },
    answeredBy: async (requests, asked) => {
      const { app, url } = asked ?? (await callers()).pod;
      const load = await startLoad(app, [url], 100);
      await eventually(`${requests} requests`, async () => (await load.report()).sent >= requests, 60_000, 100);
      return (await load.stop()).answeredBy;
    },
    gatewayAnsweredBy: async (requests) => {
      const asked = Array.from(
        { length: requests },
        async () => ((await (await fetch(platform.env.ingress)).json()) as { readonly hostname: string }).hostname,
      );
      return [...new Set(await Promise.all(asked))].sort();
    },
    clientRule: async () => {
      const [name, host] = [`to-${namespace}`, hostOf(namespace)];
      const metadata = { name, namespace: 'shop' };
      const spec = { host, trafficPolicy: { connectionPool: { tcp: { connectTimeout: '9s' } } } };
      await applyObjects([{ apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata, spec }]);
      return {
        remove: async () => {
          await command('kubectl', '-n', 'shop', 'delete', 'destinationrule', name);
        },
      };
    },
    service: async () => {
      const get = ['-n', namespace, 'get', 'service', 'orders', '--show-managed-fields'];
      const { metadata, ...found } = await kubectl<{ readonly metadata: Readonly<Record<string, unknown>> }>(...get);
      return { ...found, metadata: { ...metadata, resourceVersion: '' } };
    },
    left: async () => {
      const names = async (...what: string[]): Promise<string[]> =>
        (await command('kubectl', '-n', namespace, 'get', ...what, '-o', 'name')).split('\n');
      const routes = await names('virtualservices,destinationrules');
      const services = await names('services', '-l', 'meshlift.dev/migration');
      const replicas = await command(
        'kubectl',
        '-n',
        namespace,
        'get',
        'deployment',
        'orders',
        '-o=jsonpath={.spec.replicas}',
      );
      const [get, held] = [
        ['-n', namespace, 'get', 'service', 'orders'],
        '{.metadata.annotations.meshlift\\.dev/selector}',
      ];
      const selector = await command('kubectl', ...get, `-o=jsonpath={.spec.selector}${held}`);
      const phases = await Promise.all(
        machines.map(async ({ name }) => `${name} ${(await platform.api.machine(namespace, name)).phase}`),
      );
      return [
        ...routes.filter((line) => line !== '' && !line.endsWith('/edge')),
        ...(await names('deployments')).filter((line) => line !== '' && !line.endsWith('/orders')),
        ...[...services, ...(await names('pods', '-l', 'app=orders'))].filter((line) => line !== ''),
        ...(replicas === '0' ? [] : [`${replicas} replicas`]),
        ...(selector.trim() === '{"app":"orders"}' ? [] : [`Service orders selects ${selector}`]),
        ...phases.filter((line) => !line.endsWith(' InMesh')),
      ];
    },
    request: (name, more = {}) => ({
      ...{ name, namespace, workloadGroup: 'orders', service: 'orders', target: { deployment: 'orders' } },
      steps: [10, 50, 100].map((weight) => ({ weight, hold: '4s' })),
      analysis: { minRequests: 20 },
      soak: '3s',
      silence: '3s',
      ownGatewayRoutes: [{ virtualService: 'edge', route: 'orders' }],
      ...more,
    }),
    start: async (request) => {
      const { status, body } = await platform.api.call<Operation>('POST', '/v1/migrations', request);
      if (status !== 202) throw new Error(`POST /v1/migrations answered ${status}: ${JSON.stringify(body)}`);
      return body;
    },
    control: async (id, action, reason) => {
      const body = action === 'cancel' ? undefined : { ...(reason === undefined ? {} : { reason }) };
      const { status, body: answer } = await platform.api.call('POST', `/v1/operations/${id}/${action}`, body);
      if (status !== 200 && status !== 202)
        throw new Error(`${action} of ${id} answered ${status}: ${JSON.stringify(answer)}`);
    },
  };
}

/** Where the ingress gateway leads: to the Service as a whole, or to shares of it by subset. */
export function edge(namespace: string, shares: readonly (readonly [subset: string, weight: number])[] = []): object {
  const destination = { host: hostOf(namespace), port: { number: 80 } };
  const split = shares.map(([subset, weight]) => ({ destination: { ...destination, subset }, weight }));
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'edge', namespace },
    spec: {
      hosts: ['*'],
      gateways: ['istio-system/ingress'],
      http: [{ name: 'orders', route: split.length === 0 ? [{ destination }] : split }],
    },
  };
}

const hostOf = (namespace: string): string => `orders.${namespace}.svc.cluster.local`;

/** One request in fifty takes this long. */
const SLOW_SECONDS = 5;

async function loadOf(
  namespace: string,
  { pod, machine, outside }: Awaited<ReturnType<MigrationLab['callers']>>,
): Promise<Load> {
  const loads = await Promise.all([
    startLoad(pod.app, [pod.url], 100, undefined, SLOW_SECONDS),
    startLoad(pod.app, [`grpc://${hostOf(namespace)}:9090`], 40, undefined, SLOW_SECONDS),
    startLoad(machine.app, [machine.url], 30, undefined, SLOW_SECONDS),
    startLoad(outside.app, [outside.url], 30, undefined, SLOW_SECONDS),
  ]);
  return {
    sent: async () => (await Promise.all(loads.map((load) => load.report()))).reduce((sum, { sent }) => sum + sent, 0),
    stop: async () => await Promise.all(loads.map((load) => load.stop())),
  };
}
