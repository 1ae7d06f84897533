/** Istio's versions, `1.30.0` or `1.30.0-beta.1`, compared by major and minor. */

/** How many minor versions the proxy is behind its istiod, negative where it is ahead; undefined where they cannot be compared. */
export function minorsBehind(proxy: string, istiod: string): number | undefined {
  const [own, theirs] = [parse(proxy), parse(istiod)];
  if (!own || own.major !== theirs?.major) return undefined;
  const behind = theirs.minor - own.minor;
  return behind === 0 && own.patch > theirs.patch ? -1 : behind;
}

function parse(version: string): { major: number; minor: number; patch: number } | undefined {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  return patch === undefined ? undefined : { major: Number(major), minor: Number(minor), patch: Number(patch) };
}
