/** Which Service an object of Istio's or of the Gateway API is for, as it says so itself. */

/** A host anywhere in the object: as the one it is for, or as a destination. */
export function namesService(value: unknown, names: readonly string[]): boolean {
  if (typeof value === 'string') return names.includes(value);
  if (Array.isArray(value)) return value.some((one) => namesService(one, names));
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([key, inner]) =>
      (typeof inner === 'object' || ['host', 'hosts', 'name'].includes(key)) && namesService(inner, names),
  );
}

/** Of a DestinationRule: its host is a wildcard that the Service falls under, e.g. `*.local` [DestinationRule.host]. */
export function isForByWildcard(spec: unknown, host: string): boolean {
  const { host: pattern } = (spec ?? {}) as { readonly host?: unknown };
  return typeof pattern === 'string' && pattern.startsWith('*') && host.endsWith(pattern.slice(1));
}

/** Of a VirtualService: sidecars follow it, which they do where it names gateway `mesh` or none [VirtualService.gateways]. */
export function isBoundToMesh(spec: unknown): boolean {
  const { gateways } = (spec ?? {}) as { readonly gateways?: readonly string[] };
  return gateways === undefined || gateways.length === 0 || gateways.includes('mesh');
}

/** It says for the mesh where calls of one of these names go: not a gateway's own route, nor one of another host that leads there. */
export function leadsMesh(kind: string, spec: unknown, names: readonly string[]): boolean {
  const { hosts = [], parentRefs = [] } = (spec ?? {}) as {
    readonly hosts?: readonly string[];
    readonly parentRefs?: readonly { readonly kind?: string; readonly name?: string }[];
  };
  if (kind === 'VirtualService') return isBoundToMesh(spec) && hosts.some((host) => names.includes(host));
  return parentRefs.some(({ kind: parent, name = '' }) => parent === 'Service' && names.includes(name));
}
