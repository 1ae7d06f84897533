/** Every deliberate difference from istioctl's files, as docs/istioctl-differences.md lists them, applied to what istioctl wrote. */

export interface Differences {
  readonly machine: string;
  readonly revision: string;
  readonly istioNamespace: string;
  readonly address: string;
  readonly sshdPorts: readonly number[];
}

type Edit = (env: Map<string, string>) => void;

/** cluster.env: one edit per listed difference; every other line stays as it is. */
export function clusterEnvWithDifferences(text: string, differences: Differences): string {
  // A value may hold line ends.
  const lines = text.replace(/\n$/, '').split(/\n(?=\w+=)/);
  const env = new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  const { revision, istioNamespace, address, sshdPorts, machine } = differences;
  const istiod = revision === 'default' ? 'istiod' : `istiod-${revision}`;
  const excluded = (env.get('ISTIO_LOCAL_EXCLUDE_PORTS') ?? '').replaceAll("'", '').split(',');
  const extra = sshdPorts.map(String).filter((port) => !excluded.includes(port));
  const edits: readonly Edit[] = [
    (keys) => keys.set('ISTIO_INBOUND_PORTS', "'*'"),
    (keys) => keys.set('ISTIO_LOCAL_EXCLUDE_PORTS', `'${[...excluded, ...extra].join(',')}'`),
    (keys) => keys.set('ISTIO_CUSTOM_IP_TABLES', "'true'"),
    (keys) => keys.set('CA_ADDR', `'${istiod}.${istioNamespace}.svc:15012'`),
    (keys) => keys.set('ISTIO_SVC_IP', `'${address}'`),
    (keys) => keys.set('ISTIO_METAJSON_LABELS', `'${withMachine(keys.get('ISTIO_METAJSON_LABELS') ?? '', machine)}'`),
  ];
  for (const edit of edits) edit(env);
  return (
    [...env]
      .map(([key, value]) => `${key}=${value}`)
      .sort((a, b) => (a < b ? -1 : 1))
      .join('\n') + '\n'
  );
}

/** mesh.yaml: our label, and the explicit discovery address of an unrevisioned istiod. */
export function meshConfigWithDifferences(text: string, { machine, revision, istioNamespace }: Differences): string {
  const labelled = text.replace(
    /ISTIO_METAJSON_LABELS: ('.*')/,
    (_, labels: string) => `ISTIO_METAJSON_LABELS: '${withMachine(labels, machine)}'`,
  );
  if (revision !== 'default' || /^ {2}discoveryAddress:/m.test(labelled)) return labelled;
  return labelled.replace(
    'defaultConfig:\n',
    `defaultConfig:\n  discoveryAddress: istiod.${istioNamespace}.svc:15012\n`,
  );
}

function withMachine(quoted: string, machine: string): string {
  const labels = { ...(JSON.parse(quoted.slice(1, -1)) as Record<string, string>), 'meshlift.dev/machine': machine };
  return JSON.stringify(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))));
}
