/** Parsers of what istiod's debug endpoints say of endpoints and of those that watch them. */
import { drainingLabel } from '../../workflows/plan/drain-value.ts';
import type {
  AskedCluster,
  EndpointLook,
  EndpointQuery,
  MachineQuery,
  MachineService,
  OfferedLook,
  ProxyConnection,
  PushType,
  ServiceEndpoint,
} from '../ports/mesh-port.ts';
import { machineLabel } from '../render/names.ts';
import { isOffered, type RawEndpoint, type RawShards, type RawSyncStatus } from './istiod-answers.ts';

/** A client in the mesh watches an endpoint by the type of its configuration. */
const endpointType = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
const typeUrls: Readonly<Record<PushType, string>> = {
  cds: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  lds: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  rds: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  eds: endpointType,
};

interface Held {
  readonly host: string;
  readonly endpoint: RawEndpoint;
}

function heldEndpoints(body: unknown): readonly Held[] {
  return Object.entries(body as RawShards).flatMap(([host, byNamespace]) =>
    Object.values(byNamespace)
      .flatMap(({ Shards = {} }) => Object.values(Shards))
      .flatMap((endpoints) => endpoints ?? [])
      .map((endpoint) => ({ host, endpoint })),
  );
}

const addressesOf = ({ Address, Addresses }: RawEndpoint): readonly string[] =>
  Addresses ?? (Address === undefined ? [] : [Address]);

const isOfMachine = ({ Namespace, Labels }: RawEndpoint, { namespace, machine }: MachineQuery): boolean =>
  Namespace === namespace && Labels?.[machineLabel] === machine;

/** `/debug/endpointShardz` of every istiod: the Services that select the machine. What one of them withholds is not offered. */
export function machineServices(bodies: readonly unknown[], machine: MachineQuery): readonly MachineService[] {
  const looks = bodies.map(heldEndpoints);
  const hosts = new Set(looks.flat().flatMap((held) => (isOfMachine(held.endpoint, machine) ? [held.host] : [])));
  return [...hosts].sort().map((host) => {
    const endpoints = looks.map((look) => mergePorts(look.filter((held) => held.host === host)));
    const known = new Map(endpoints.flatMap((byAddress) => [...byAddress]));
    return {
      host,
      endpoints: [...known].map(([address, endpoint]) => ({
        ...endpoint,
        isOffered: endpoints.every((byAddress) => byAddress.get(address)?.isOffered === true),
      })),
    };
  });
}

/** An endpoint is held once a port; it is one all the same. */
function mergePorts(held: readonly Held[]): Map<string, ServiceEndpoint> {
  const byAddress = new Map<string, ServiceEndpoint>();
  for (const { endpoint } of held) {
    const address = addressesOf(endpoint)[0];
    if (address === undefined) continue;
    const machine = endpoint.Labels?.[machineLabel];
    const before = byAddress.get(address);
    byAddress.set(address, {
      address,
      ...(machine === undefined ? {} : { machine }),
      labels: endpoint.Labels ?? {},
      isOffered: isOffered(endpoint) && before?.isOffered !== false,
    });
  }
  return byAddress;
}

/** `/debug/endpointShardz` of one istiod: the host's endpoints of which every port is given out. */
export function offeredEndpoints(body: unknown, host: string): OfferedLook['endpoints'] {
  const endpoints = mergePorts(heldEndpoints(body).filter((held) => held.host === host));
  return [...endpoints.values()]
    .filter(({ isOffered }) => isOffered)
    .map(({ address, labels }) => ({ address, labels }));
}

/** `/debug/endpointShardz` of one istiod: the machine's own endpoints. */
export function machineEndpoints(body: unknown, query: EndpointQuery): EndpointLook['endpoints'] {
  return heldEndpoints(body)
    .filter(({ endpoint }) => isOfMachine(endpoint, query) && addressesOf(endpoint).includes(query.address))
    .map(({ host, endpoint }) => {
      const draining = endpoint.Labels?.[drainingLabel] ?? '';
      return { host, ...(draining === '' ? {} : { draining }), isOffered: isOffered(endpoint) };
    });
}

/** The parts of `AdsClients` in pilot/pkg/xds/debug.go that are read. */
interface RawClients {
  readonly clients?: readonly RawClient[];
}
interface RawClient {
  readonly connectionId?: string;
  readonly metadata?: { readonly INSTANCE_IPS?: string };
  readonly watches?: Readonly<Record<string, readonly string[] | null>>;
}
const noncesOf: Readonly<
  Record<PushType, (status: RawSyncStatus) => readonly [sent: string | undefined, acked: string | undefined]>
> = {
  cds: ({ cluster_sent, cluster_acked }) => [cluster_sent, cluster_acked],
  lds: ({ listener_sent, listener_acked }) => [listener_sent, listener_acked],
  rds: ({ route_sent, route_acked }) => [route_sent, route_acked],
  eds: ({ endpoint_sent, endpoint_acked }) => [endpoint_sent, endpoint_acked],
};

/** `/debug/syncz` and `/debug/adsz` of one istiod, joined by proxy: a proxy is as far as the connection that is furthest behind. */
export function proxyConnections(
  syncz: unknown,
  adsz: unknown,
  hosts: readonly string[],
  type: PushType = 'eds',
): readonly ProxyConnection[] {
  const clients = (adsz as RawClients).clients ?? [];
  const wanted = new Set(hosts);
  const statuses = Array.isArray(syncz) ? (syncz as readonly RawSyncStatus[]) : [];
  return statuses.map((status) => {
    const { proxy = '', resources } = status;
    // A connection's id is the proxy's with a number behind it.
    const own = clients.filter(({ connectionId = '' }) => connectionId.replace(/-\d+$/, '') === proxy);
    const error = resources?.[typeUrls[type]]?.lastError ?? '';
    const [sent, acked] = noncesOf[type](status);
    const asked = own.map(({ watches }) => watches?.[endpointType] ?? []);
    return {
      proxy,
      addresses: [...new Set(own.flatMap(({ metadata }) => metadata?.INSTANCE_IPS?.split(',') ?? []))],
      // One that connected between the two answers may watch anything.
      isWatching: own.length === 0 || own.some(({ watches }) => isWatching(watches ?? {}, wanted, type)),
      // Of several connections each has to ask for it.
      clusters: (asked[0] ?? [])
        .filter((name) => wanted.has(hostOf(name)) && asked.every((names) => names.includes(name)))
        .map(clusterOf),
      hasListenersOfClusters: hasListenersOfClusters(status),
      ...timeOf('sentAt', sent),
      ...timeOf('acknowledgedAt', acked),
      ...(error === '' ? {} : { error }),
    };
  });
}

/** Clusters and listeners are watched as a whole; a gateway that only passes TLS through has no routes. */
function isWatching(watches: NonNullable<RawClient['watches']>, hosts: ReadonlySet<string>, type: PushType): boolean {
  const isClient = (watches[endpointType] ?? []).some((name) => hosts.has(hostOf(name)));
  return isClient && (type !== 'rds' || (watches[typeUrls.rds] ?? []).length > 0);
}

/** `outbound|80|<subset>|<host>`, and at gateways also `outbound_.80_.<subset>_.<host>`. */
function hostOf(cluster: string): string {
  const forGateway = /^outbound_\.\d+_\.[^_]*_\.(.+)$/.exec(cluster)?.[1];
  return forGateway ?? cluster.slice(cluster.lastIndexOf('|') + 1);
}

/** Neither a port nor the name of a subset holds a `|`, or, at gateways, the `_` that stands between them. */
function clusterOf(name: string): AskedCluster {
  const parts = /^(outbound\|\d+\||outbound_\.\d+_\.)([^|_]*)(\|.+|_\..+)$/.exec(name);
  return { of: `${parts?.[1] ?? name}${parts?.[3] ?? ''}`, subset: parts?.[2] ?? '' };
}

/** The counter of an istiod's pushes is in each of its nonces. */
function hasListenersOfClusters({ cluster_sent, cluster_acked, listener_acked }: RawSyncStatus): boolean {
  const [clusters, listeners] = [counterOf(cluster_acked), counterOf(listener_acked)];
  return cluster_acked === cluster_sent && clusters !== undefined && listeners !== undefined && listeners >= clusters;
}

function counterOf(nonce = ''): number | undefined {
  const counter = /^\d{4}-[^/]+\/(\d+)[0-9a-f-]{36}$/.exec(nonce)?.[1];
  return counter === undefined ? undefined : Number(counter);
}

/** A nonce is `<time of the push>/<counter><uuid>`, the uuid of 36 characters. */
function timeOf<K extends string>(key: K, nonce = ''): Partial<Record<K, string>> {
  const at = /^(\d{4}-[^/]+)\//.exec(nonce)?.[1];
  return at === undefined ? {} : ({ [key]: new Date(at).toISOString() } as Record<K, string>);
}
