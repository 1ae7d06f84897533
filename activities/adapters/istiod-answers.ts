/** Parsers of istiod's debug answers. */
import { drainingLabel } from '../../workflows/plan/drain-value.ts';
import type { ConnectedProxy, EndpointQuery, Neighbours } from '../ports/mesh-port.ts';
import { machineLabel } from '../render/names.ts';

type SyncStatus = Pick<ConnectedProxy, 'version' | 'unacknowledged' | 'rejected'>;

/** The parts of `SyncStatus` in pilot/pkg/xds/debug.go that are read. */
export interface RawSyncStatus {
  readonly proxy?: string;
  readonly istio_version?: string;
  readonly cluster_sent?: string;
  readonly cluster_acked?: string;
  readonly listener_sent?: string;
  readonly listener_acked?: string;
  readonly route_sent?: string;
  readonly route_acked?: string;
  readonly endpoint_sent?: string;
  readonly endpoint_acked?: string;
  readonly resources?: Readonly<Record<string, { readonly lastError?: string }>>;
}

/** `/debug/syncz`: one entry per connection of this proxy. */
export function readSyncStatus(body: unknown, proxyId: string): readonly SyncStatus[] {
  return (Array.isArray(body) ? (body as readonly RawSyncStatus[]) : [])
    .filter(({ proxy }) => proxy === proxyId)
    .map((raw) => ({
      version: raw.istio_version ?? '',
      unacknowledged: unacknowledged(raw),
      rejected: Object.entries(raw.resources ?? {}).flatMap(([type, { lastError = '' }]) =>
        lastError === '' ? [] : [`${type.split('.').at(-1) ?? type}: ${lastError}`],
      ),
    }));
}

/** Clusters and listeners are always sent; routes and endpoints only where the proxy asks for some. */
function unacknowledged(raw: RawSyncStatus): readonly string[] {
  const pushes = [
    { type: 'cds', sent: raw.cluster_sent, acked: raw.cluster_acked, isAlwaysSent: true },
    { type: 'lds', sent: raw.listener_sent, acked: raw.listener_acked, isAlwaysSent: true },
    { type: 'rds', sent: raw.route_sent, acked: raw.route_acked, isAlwaysSent: false },
    { type: 'eds', sent: raw.endpoint_sent, acked: raw.endpoint_acked, isAlwaysSent: false },
  ];
  return pushes
    .filter(({ sent = '', acked = '', isAlwaysSent }) => (sent === '' ? isAlwaysSent : sent !== acked))
    .map(({ type }) => type);
}

/** The parts of `IstioEndpoint` in pilot/pkg/model/service.go that are read. */
export interface RawEndpoint {
  readonly Addresses?: readonly string[] | null;
  /** Of an istiod before 1.25. */
  readonly Address?: string;
  readonly Namespace?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly HealthStatus?: number;
  readonly SendUnhealthyEndpoints?: boolean;
}
export type RawShards = Readonly<
  Record<
    string,
    Readonly<Record<string, { readonly Shards?: Readonly<Record<string, readonly RawEndpoint[] | null>> }>>
  >
>;

/** istiod's numbers of an endpoint's health. */
const health = { unhealthy: 2, draining: 3, terminating: 4 } as const;

/** `/debug/endpointShardz`: whether some service's endpoints hold this machine and clients are told of it. */
export function isGivenOut(body: unknown, { namespace, machine, address }: EndpointQuery): boolean {
  return Object.values(body as RawShards)
    .flatMap((byNamespace) => Object.values(byNamespace))
    .flatMap(({ Shards = {} }) => Object.values(Shards))
    .flatMap((endpoints) => endpoints ?? [])
    .some(
      (endpoint) =>
        endpoint.Namespace === namespace &&
        endpoint.Labels?.[machineLabel] === machine &&
        (endpoint.Address === address || (endpoint.Addresses ?? []).includes(address)) &&
        isOffered(endpoint),
    );
}

/** Whether clients are told of the endpoint. */
export function isOffered(endpoint: RawEndpoint): boolean {
  if ((endpoint.Labels?.[drainingLabel] ?? '') !== '') return false;
  if (endpoint.HealthStatus === health.unhealthy) return endpoint.SendUnhealthyEndpoints === true;
  return endpoint.HealthStatus !== health.draining && endpoint.HealthStatus !== health.terminating;
}

interface RawAuthorizations {
  readonly authorization_policies?: {
    readonly root_namespace?: string;
    readonly namespace_to_policies?: Readonly<
      Record<
        string,
        readonly {
          readonly name?: string;
          readonly spec?: Readonly<Record<string, unknown>>;
        }[]
      >
    >;
  };
}

/** `/debug/authorizationz`: ALLOW is the default action, which the answer leaves out. */
export function readAuthorizations(
  body: unknown,
  istioNamespace: string,
): Pick<Neighbours, 'policies' | 'rootNamespace'> {
  const { authorization_policies: found = {} } = body as RawAuthorizations;
  const byNamespace = Object.entries(found.namespace_to_policies ?? {});
  return {
    rootNamespace: found.root_namespace ?? istioNamespace,
    policies: byNamespace.flatMap(([namespace, policies]) =>
      policies.map(({ name = '', spec = {} }) => ({ namespace, name, isOfAll: isOfAll(spec) })),
    ),
  };
}

function isOfAll({ selector, action, ...spec }: Readonly<Record<string, unknown>>): boolean {
  const isTargeted = ['targetRef', 'targetRefs', 'target_ref', 'target_refs'].some((key) => spec[key] !== undefined);
  const allows = action === undefined || action === 0 || action === 'ALLOW';
  const labels = Object.values((selector ?? {}) as Readonly<Record<string, object>>).flatMap(Object.keys);
  return allows && !isTargeted && labels.length === 0;
}
