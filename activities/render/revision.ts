/** Which control plane a machine joins: from a revision, a tag, the namespace's label, or the mesh's default. */

export interface RevisionSources {
  /** What the request names: a revision, a tag, or `default`; absent where it names none. */
  readonly wanted?: string;
  /** Label `istio.io/rev` of the machine's namespace, by which its pods choose. */
  readonly namespaceLabel?: string;
  /** Tag to revision, from the webhooks labelled `istio.io/tag` and `istio.io/rev`. */
  readonly tags: ReadonlyMap<string, string>;
  /** Label `istio.io/rev` of the webhook `istiod-default-validator`. */
  readonly validator?: string;
  /** Revisions that run an istiod; `default` is the unrevisioned one. */
  readonly installed: readonly string[];
}

/**
 * The revision itself, never a tag; undefined where nothing says which. A request that names none follows its namespace as a pod
 * would, then the tag `default`, then the validator's revision, then the only revision there is.
 */
export function chooseRevision(sources: RevisionSources): string | undefined {
  const { tags, installed } = sources;
  const known = (name: string | undefined): string | undefined => {
    const revision = name === undefined ? undefined : (tags.get(name) ?? name);
    return revision !== undefined && installed.includes(revision) ? revision : undefined;
  };
  const wanted = sources.wanted ?? (sources.namespaceLabel === '' ? undefined : sources.namespaceLabel);
  if (wanted !== undefined && wanted !== 'default') return known(wanted);
  return known('default') ?? known(sources.validator) ?? (installed.length === 1 ? installed[0] : undefined);
}

/** `1.30.0` of `registry/pilot:1.30.0-distroless`; undefined for an image by digest or with a tag of another kind. */
export function versionOfImage(image: string): string | undefined {
  return /:v?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)(?:-[a-z]+)?(?:@.*)?$/.exec(image)?.[1];
}
