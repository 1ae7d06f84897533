/** Parsers of what istiod says of the objects it holds and of the configuration that it has for a proxy. */
import type { ObjectRef } from '../ports/cluster-port.ts';
import type { HeldLook, UnguardedProxy } from '../ports/mesh-port.ts';

interface RawObject {
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** `/debug/configz`: the object's annotations, where istiod holds it. */
export function heldObject(body: unknown, { kind, namespace, name }: ObjectRef): Pick<HeldLook, 'marks'> {
  const held = (Array.isArray(body) ? (body as readonly RawObject[]) : []).find(
    ({ kind: of, metadata }) => of === kind && metadata?.namespace === namespace && metadata.name === name,
  );
  return held === undefined ? {} : { marks: held.metadata?.annotations ?? {} };
}

/** The parts of `model.Service` in pilot/pkg/model/service.go that are read. */
interface RawService {
  readonly Attributes?: {
    readonly ServiceRegistry?: string;
    readonly Name?: string;
    readonly Namespace?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
}

/** `/debug/registryz`: the Service's labels, where istiod holds it. */
export function heldService(body: unknown, { namespace, name }: ObjectRef): Pick<HeldLook, 'marks'> {
  const held = (Array.isArray(body) ? (body as readonly RawService[]) : []).find(
    ({ Attributes: of }) => of?.ServiceRegistry === 'Kubernetes' && of.Namespace === namespace && of.Name === name,
  );
  return held === undefined ? {} : { marks: held.Attributes?.Labels ?? {} };
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

/** A way that a proxy sends by: Envoy's name of it, and the object that it was made of. */
type Way = Omit<UnguardedProxy, 'proxy'>;

/**
 * `/debug/config_dump?types=rds,lds` of one proxy: routes and listeners that lead to one of the clusters. Listeners that only pass TLS on
 * by the name that the client asks for follow the client, and say nothing of their own (`outbound_.`). Undefined where the answer is not
 * in the form that `types` has.
 */
export function unguardedRoutes(dump: unknown, clusters: ReadonlySet<string>): readonly Way[] | undefined {
  const configs = isObject(dump) ? (dump['configs'] ?? []) : undefined;
  if (!Array.isArray(configs) || !configs.every(isRouteOrListener)) return undefined;
  const ways = configs.flatMap((one) => waysTo(one, clusters, { route: nameOf(one) }));
  // One of several names of a Service or of several paths is told once.
  return [...new Map(ways.map((way) => [JSON.stringify(way), way])).values()];
}

const isRouteOrListener = (config: unknown): boolean =>
  isObject(config) && typeof config['@type'] === 'string' && /\.(?:RouteConfiguration|Listener)$/.test(config['@type']);

const listOf = (value: Json, key: string): readonly Json[] =>
  Array.isArray(value[key]) ? (value[key] as readonly unknown[]).filter(isObject) : [];

const nameOf = (value: unknown): string => (isObject(value) && typeof value['name'] === 'string' ? value['name'] : '');

/** A destination is named by `cluster`, or by `name` among `weightedClusters`. */
function waysTo(value: unknown, clusters: ReadonlySet<string>, outer: Way): readonly Way[] {
  if (Array.isArray(value)) return value.flatMap((one) => waysTo(one, clusters, outer));
  if (!isObject(value)) return [];
  const way = wayOf(value, outer);
  return Object.entries(value).flatMap(([key, inner]) => {
    if (key === 'cluster' && typeof inner === 'string') return clusters.has(inner) ? [way] : [];
    if (key === 'weightedClusters' && isObject(inner)) {
      const leads = listOf(inner, 'clusters').some((one) => clusters.has(nameOf(one)) && one['weight'] !== 0);
      return leads ? [way] : [];
    }
    return waysTo(inner, clusters, way);
  });
}

/** A route has something to match by, and often a name; a route and a filter chain say which object they were made of. */
function wayOf(value: Json, outer: Way): Way {
  const isNamedRoute = isObject(value['match']) && nameOf(value) !== '';
  const object = objectBehind(value['metadata']);
  return {
    ...outer,
    ...(isNamedRoute ? { route: `${outer.route}/${nameOf(value)}` } : {}),
    ...(object === undefined ? {} : { object }),
  };
}

/** Of `/apis/networking.istio.io/v1/namespaces/shop/virtual-service/edge`: kind, namespace and name. */
const configPath = /^\/apis\/[^/]+\/[^/]+\/namespaces\/(?<namespace>[^/]+)\/(?<kind>[^/]+)\/(?<name>[^/]+)$/;

function objectBehind(metadata: unknown): string | undefined {
  const all = isObject(metadata) ? metadata['filterMetadata'] : undefined;
  const istio = isObject(all) ? all['istio'] : undefined;
  const path = isObject(istio) ? istio['config'] : undefined;
  const { namespace, kind, name } = (typeof path === 'string' ? configPath.exec(path)?.groups : undefined) ?? {};
  if (namespace === undefined || kind === undefined || name === undefined) return undefined;
  const words = kind.split('-').map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`);
  return `${words.join('')} ${namespace}/${name}`;
}
