/**
 * The DestinationRule and VirtualService of a migration: the two sides of one Service, and the share of each. By `guard: selector` the
 * sides are Services instead of subsets, see `service-sides.ts`.
 */
import type { KubernetesObject } from '../ports/cluster-port.ts';
import type { GatewayRoute, RouteDestination } from '../ports/cutover-port.ts';
import { managedByLabel, manager } from './names.ts';
import type { SelectorGuard } from './service-sides.ts';

export const machinesSubset = 'machines';
export const podsSubset = 'kubernetes';
/** Of TCP: it changes sides itself. */
const connectionsSubset = 'connections';
/** A request that carries it with the value `kubernetes` reaches pods alone, whatever the weights say. */
export const targetHeader = 'x-meshlift-target';
export const migrationLabel = 'meshlift.dev/migration';
/**
 * Changing it alone makes istiod push again: its event filter lets through whatever carries a label or annotation that holds
 * `istio.io` [pilot/pkg/model/config_compare.go]. On a Service it is a label: of those istiod looks at labels, and at no annotation of
 * ours [pilot/pkg/model/service.go, ServiceAttributes.Equals].
 */
export const pushAnnotation = 'istio.io.meshlift.dev/push';

export interface CutoverTarget {
  readonly migration: string;
  readonly namespace: string;
  /** Fully qualified. */
  readonly host: string;
  readonly ports: readonly {
    readonly port: number;
    readonly protocol: 'http' | 'tcp';
    /** Over HTTP as well, and answers no plain GET. */
    readonly isGrpc?: boolean;
  }[];
  /** What machine endpoints carry and pods do not. */
  readonly machineLabels: Readonly<Record<string, string>>;
  /** What pods carry and machine endpoints do not: it tells the endpoints of the Service apart, and says nothing of other pods. */
  readonly podLabels: Readonly<Record<string, string>>;
  /** All that the pods of the Deployment carry. */
  readonly podSelector: Readonly<Record<string, string>>;
  /** Routes of gateways that follow, as they were before. */
  readonly gatewayRoutes: readonly GatewayRoute[];
  /** What keeps the sides apart is the Service's selector; absent: its routes. */
  readonly selector?: SelectorGuard;
}

type Sided = Pick<CutoverTarget, 'migration' | 'namespace' | 'host' | 'selector'>;

export const routesName = (migration: string): string => `meshlift-${migration}`;

/** Labels of whatever a migration owns. */
export const ownLabels = (migration: string): Readonly<Record<string, string>> => ({
  [managedByLabel]: manager,
  [migrationLabel]: migration,
});

const metadata = ({ migration, namespace }: CutoverTarget, push: string): KubernetesObject['metadata'] => ({
  name: routesName(migration),
  namespace,
  labels: ownLabels(migration),
  annotations: { [pushAnnotation]: push },
});

/** Whom to send to so that pods alone answer: the Service, of which they are a subset, or, by its selector, a Service of their own. */
export const podsHost = ({ migration, namespace, host, selector }: Sided): string =>
  selector === undefined ? host : `${routesName(migration)}.${namespace}.svc.cluster.local`;

function sideOf(target: Sided, side: typeof machinesSubset | typeof podsSubset): RouteDestination['destination'] {
  if (target.selector === undefined) return { host: target.host, subset: side };
  return { host: side === podsSubset ? podsHost(target) : target.host };
}

/** Names of the subsets that routes of the Service send to. */
export const subsetsOf = ({ ports }: Pick<CutoverTarget, 'ports'>) => [
  ...([machinesSubset, podsSubset] as const),
  ...(ports.some(({ protocol }) => protocol === 'tcp') ? ([connectionsSubset] as const) : []),
];

/**
 * TCP changes sides here, since a route that changes alters its clients' listeners, and Envoy closes what is older than its drain time
 * (45 s by default) on them: endpoints that change leave connections alone.
 */
export function renderSubsets(target: CutoverTarget, weight: number, push: string): KubernetesObject {
  const { machineLabels, podLabels } = target;
  const labels = {
    [machinesSubset]: machineLabels,
    [podsSubset]: podLabels,
    [connectionsSubset]: weight === 100 ? podLabels : machineLabels,
  };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: metadata(target, push),
    spec: {
      host: target.host,
      subsets: subsetsOf(target).map((name) => ({ name, labels: labels[name] })),
    },
  };
}

/**
 * `weight` percent of requests to pods. New TCP connections move as a whole, at 100: their subset does, not their route; where the
 * Service's selector does, they have no route at all.
 */
export function renderRoutes(target: CutoverTarget, weight: number, push: string): KubernetesObject {
  const to = (side: Parameters<typeof sideOf>[1]): RouteDestination => ({ destination: sideOf(target, side) });
  const isHttp = target.ports.some(({ protocol }) => protocol === 'http');
  const tcpPorts = target.selector === undefined ? target.ports.filter(({ protocol }) => protocol === 'tcp') : [];
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: metadata(target, push),
    spec: {
      hosts: [target.host],
      ...(isHttp
        ? {
            http: [
              {
                name: 'meshlift-smoke',
                match: [{ headers: { [targetHeader]: { exact: podsSubset } } }],
                route: [to(podsSubset)],
              },
              {
                name: 'meshlift-cutover',
                route: [
                  { ...to(machinesSubset), weight: 100 - weight },
                  { ...to(podsSubset), weight },
                ],
              },
            ],
          }
        : {}),
      ...(tcpPorts.length > 0
        ? {
            tcp: tcpPorts.map(({ port }) => ({
              match: [{ port }],
              route: [{ destination: { host: target.host, subset: connectionsSubset } }],
            })),
          }
        : {}),
    },
  };
}

/** The same shares for a route of a gateway; other destinations of it, and the port, stay. */
export function renderGatewayRoute(route: GatewayRoute, target: Sided, weight: number): GatewayRoute {
  const isOfHost = ({ destination }: RouteDestination): boolean =>
    isSameHost(destination.host, target.host, route.namespace);
  const destinations = route.destinations.flatMap((one): RouteDestination[] => {
    if (!isOfHost(one)) return [one];
    const share = route.destinations.length === 1 ? 100 : (one.weight ?? 0);
    const pods = Math.round((share * weight) / 100);
    const { destination } = one;
    return [
      { destination: { ...destination, ...sideOf(target, machinesSubset) }, weight: share - pods },
      { destination: { ...withoutSubset(destination), ...sideOf(target, podsSubset) }, weight: pods },
    ];
  });
  return { ...route, destinations };
}

interface HttpRoutes {
  readonly http?: readonly { readonly name?: string; readonly route?: readonly RouteDestination[] }[];
}

/** Where the HTTP route of that name leads, by the spec of its VirtualService; undefined where there is none. */
export const destinationsOf = (spec: unknown, route: string): readonly RouteDestination[] | undefined =>
  httpOf(spec).find(({ name }) => name === route)?.route;

/** The HTTP routes of a VirtualService, by its spec. */
export const httpOf = (spec: unknown): NonNullable<HttpRoutes['http']> => (spec as HttpRoutes | undefined)?.http ?? [];

/**
 * A gateway's route that a run before has left as it led it, as it was before: what it sent to both sides as one. A share stays as it
 * was; all of the traffic needs no weight.
 */
export function withoutSides(route: GatewayRoute, target: Sided): GatewayRoute {
  const pods = sideOf(target, podsSubset);
  const isPods = ({ destination: { host, subset } }: RouteDestination): boolean =>
    isSameHost(host, pods.host, route.namespace) && subset === pods.subset;
  const destinations = route.destinations.flatMap((one, index, all): RouteDestination[] => {
    if (isPods(one)) return [];
    const beside = all[index + 1];
    if (beside === undefined || !isPods(beside)) return [one];
    const destination = target.selector === undefined ? withoutSubset(one.destination) : one.destination;
    return [{ destination, weight: (one.weight ?? 0) + (beside.weight ?? 0) }];
  });
  if (destinations.length === route.destinations.length) return route;
  const [only, ...others] = destinations;
  if (only === undefined || others.length > 0) return { ...route, destinations };
  return { ...route, destinations: [{ destination: only.destination }] };
}

function withoutSubset({ host, port }: RouteDestination['destination']): RouteDestination['destination'] {
  return { host, ...(port === undefined ? {} : { port }) };
}

/** A short name is one of the VirtualService's own namespace. */
function isSameHost(named: string, host: string, namespace: string): boolean {
  return named === host || (!named.includes('.') && `${named}.${namespace}.svc.cluster.local` === host);
}
