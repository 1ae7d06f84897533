/** Why the guard of a migration does not hold: which proxies go past it, by whose object, and what to do. */
import type { UnguardedProxy } from '../ports/mesh-port.ts';

/** So many are named. */
const NAMED = 10;

export function guardMessage(host: string, unguarded: readonly UnguardedProxy[]): string {
  const named = unguarded
    .slice(0, NAMED)
    .map(({ proxy, route, object }) => `${proxy} follows ${object ?? 'no object'} (route ${route})`);
  const more = unguarded.length > NAMED ? ` and ${unguarded.length - NAMED} more` : '';
  return `Proxies would spread requests to ${host} over machines and pods alike: ${named.join(', ')}${more}; ${cureOf(unguarded)}`;
}

function cureOf(unguarded: readonly UnguardedProxy[]): string {
  const isMade = unguarded.some(({ object }) => object !== undefined);
  const isDefault = unguarded.some(({ object }) => object === undefined);
  const made =
    'name routes of gateways in ownGatewayRoutes, and remove the others for the time of the migration, or ask for guard: selector, which lives with them';
  const byDefault =
    "a route without an object is istiod's default where a proxy does not get the VirtualService of the migration (see defaultVirtualServiceExportTo of the mesh), or an EnvoyFilter's";
  return [...(isMade ? [made] : []), ...(isDefault ? [byDefault] : [])].join('; ');
}
