/** Which of the field's tools own an object, by the labels and annotations that they mark it with. */
const gitOpsMarks: readonly (readonly [RegExp, string])[] = [
  [/^argocd\.argoproj\.io\//, 'Argo CD'],
  [/^(kustomize|helm)\.toolkit\.fluxcd\.io\//, 'Flux'],
  [/^meta\.helm\.sh\//, 'Helm'],
];

interface Marked {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function gitOpsOf({ labels, annotations }: Marked): readonly string[] {
  const keys = [...Object.keys(labels ?? {}), ...Object.keys(annotations ?? {})];
  return gitOpsMarks.filter(([mark]) => keys.some((key) => mark.test(key))).map(([, tool]) => tool);
}
