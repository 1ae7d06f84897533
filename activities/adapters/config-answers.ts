/** Parsers of what istiod says of the objects it holds and of the configuration that it has for a proxy. */
import type { ObjectRef } from '../ports/cluster-port.ts';
import type { HeldLook } from '../ports/mesh-port.ts';

interface RawObject {
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** `/debug/configz`: the object's annotations, where istiod holds it. */
export function heldObject(body: unknown, { kind, namespace, name }: ObjectRef): Pick<HeldLook, 'annotations'> {
  const held = (Array.isArray(body) ? (body as readonly RawObject[]) : []).find(
    ({ kind: of, metadata }) => of === kind && metadata?.namespace === namespace && metadata.name === name,
  );
  return held === undefined ? {} : { annotations: held.metadata?.annotations ?? {} };
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

/**
 * `/debug/config_dump` of one proxy: names of routes and listeners that lead to one of the clusters. Listeners that only pass TLS on
 * by the name that the client asks for follow the client, and say nothing of their own (`outbound_.`).
 */
export function unguardedRoutes(dump: unknown, clusters: ReadonlySet<string>): readonly string[] {
  const configs = isObject(dump) && Array.isArray(dump['configs']) ? (dump['configs'] as readonly unknown[]) : [];
  return configs.flatMap((config) => {
    if (!isObject(config)) return [];
    const routes = listOf(config, 'dynamicRouteConfigs').map((one) => one['routeConfig']);
    const listeners = listOf(config, 'dynamicListeners').map((one) =>
      isObject(one['activeState']) ? one['activeState']['listener'] : undefined,
    );
    return [...routes, ...listeners].filter((one) => leadsTo(one, clusters)).map((one) => nameOf(one));
  });
}

const listOf = (value: Json, key: string): readonly Json[] =>
  Array.isArray(value[key]) ? (value[key] as readonly unknown[]).filter(isObject) : [];

const nameOf = (value: unknown): string => (isObject(value) && typeof value['name'] === 'string' ? value['name'] : '');

/** A destination is named by `cluster`, or by `name` among `weightedClusters`. */
function leadsTo(value: unknown, clusters: ReadonlySet<string>): boolean {
  if (Array.isArray(value)) return value.some((one) => leadsTo(one, clusters));
  if (!isObject(value)) return false;
  return Object.entries(value).some(([key, inner]) => {
    if (key === 'cluster' && typeof inner === 'string') return clusters.has(inner);
    if (key === 'weightedClusters' && isObject(inner)) {
      return listOf(inner, 'clusters').some((one) => clusters.has(nameOf(one)) && one['weight'] !== 0);
    }
    return leadsTo(inner, clusters);
  });
}
