/**
 * The DestinationRule and VirtualService of a migration: two subsets of one Service, and the share of each. They are all that a
 * migration owns in the mesh.
 */
import type { KubernetesObject } from '../ports/cluster-port.ts';
import type { GatewayRoute, RouteDestination } from '../ports/cutover-port.ts';
import { managedByLabel, manager } from './names.ts';

export const machinesSubset = 'machines';
export const podsSubset = 'kubernetes';
/** Of TCP: it changes sides itself. */
const connectionsSubset = 'connections';
/** A request that carries it with the value `kubernetes` reaches pods alone, whatever the weights say. */
export const targetHeader = 'x-meshlift-target';
export const migrationLabel = 'meshlift.dev/migration';
/**
 * Changing it alone makes istiod push again: its event filter lets through whatever carries a label or annotation that holds
 * `istio.io` [pilot/pkg/model/config_compare.go].
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
}

export const routesName = (migration: string): string => `meshlift-${migration}`;

const metadata = ({ migration, namespace }: CutoverTarget, push: string): KubernetesObject['metadata'] => ({
  name: routesName(migration),
  namespace,
  labels: { [managedByLabel]: manager, [migrationLabel]: migration },
  annotations: { [pushAnnotation]: push },
});

/**
 * TCP changes sides here, since a route that changes alters its clients' listeners, and Envoy closes what is older than its drain time
 * (45 s by default) on them: endpoints that change leave connections alone.
 */
export function renderSubsets(target: CutoverTarget, weight: number, push: string): KubernetesObject {
  const { machineLabels, podLabels, ports } = target;
  const connections = { name: connectionsSubset, labels: weight === 100 ? podLabels : machineLabels };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: metadata(target, push),
    spec: {
      host: target.host,
      subsets: [
        { name: machinesSubset, labels: machineLabels },
        { name: podsSubset, labels: podLabels },
        ...(ports.some(({ protocol }) => protocol === 'tcp') ? [connections] : []),
      ],
    },
  };
}

/** `weight` percent of requests to pods. New TCP connections move as a whole, at 100: their subset does, not their route. */
export function renderRoutes(target: CutoverTarget, weight: number, push: string): KubernetesObject {
  const destination = (subset: string) => ({ destination: { host: target.host, subset } });
  const isHttp = target.ports.some(({ protocol }) => protocol === 'http');
  const tcpPorts = target.ports.filter(({ protocol }) => protocol === 'tcp');
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
                route: [destination(podsSubset)],
              },
              {
                name: 'meshlift-cutover',
                route: [
                  { ...destination(machinesSubset), weight: 100 - weight },
                  { ...destination(podsSubset), weight },
                ],
              },
            ],
          }
        : {}),
      ...(tcpPorts.length > 0
        ? {
            tcp: tcpPorts.map(({ port }) => ({
              match: [{ port }],
              route: [destination(connectionsSubset)],
            })),
          }
        : {}),
    },
  };
}

/** The same shares for a route of a gateway; other destinations of it, and the port, stay. */
export function renderGatewayRoute(
  route: GatewayRoute,
  { host }: Pick<CutoverTarget, 'host'>,
  weight: number,
): GatewayRoute {
  const isOfHost = ({ destination }: RouteDestination): boolean => isSameHost(destination.host, host, route.namespace);
  const destinations = route.destinations.flatMap((one): RouteDestination[] => {
    if (!isOfHost(one)) return [one];
    const share = route.destinations.length === 1 ? 100 : (one.weight ?? 0);
    const pods = Math.round((share * weight) / 100);
    const to = (subset: string, part: number) => ({ destination: { ...one.destination, host, subset }, weight: part });
    return [to(machinesSubset, share - pods), to(podsSubset, pods)];
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
 * A gateway's route that a run before has left as it led it, as it was before: both sides of the host as one. A share stays as it was;
 * all of the traffic needs no weight.
 */
export function withoutSides(route: GatewayRoute, host: string): GatewayRoute {
  const isSide = ({ destination }: RouteDestination): boolean =>
    isSameHost(destination.host, host, route.namespace) &&
    [machinesSubset, podsSubset].includes(destination.subset ?? '');
  const sides = route.destinations.filter(isSide);
  const [first] = sides;
  if (first === undefined) return route;
  const { host: named, port } = first.destination;
  const destination = { host: named, ...(port === undefined ? {} : { port }) };
  const weight = sides.reduce((sum, one) => sum + (one.weight ?? 0), 0);
  const others = route.destinations.filter((one) => !isSide(one));
  return { ...route, destinations: others.length === 0 ? [{ destination }] : [{ destination, weight }, ...others] };
}

/** A short name is one of the VirtualService's own namespace. */
function isSameHost(named: string, host: string, namespace: string): boolean {
  return named === host || (!named.includes('.') && `${named}.${namespace}.svc.cluster.local` === host);
}
