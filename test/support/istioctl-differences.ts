/** Every deliberate difference from istioctl's files, in one table: docs/istioctl-differences.md says the same, and the tests allow no other. */

/** What a comparison knows of the machine, beside istioctl's own files. */
export interface Differences {
  readonly machine: string;
  /** As a label holds it. */
  readonly group: string;
  readonly revision: string;
  readonly istioNamespace: string;
  readonly address: string;
  readonly sshdPorts: readonly number[];
  /** `addressing.external`, where istioctl was not told of it. */
  readonly isExternal?: boolean;
  /** The group's probe is a tcpSocket without a host, or grpc. */
  readonly isProbedAtLocalhost?: boolean;
  /** Value of `ISTIO_META_DNS_CAPTURE` that mesh configuration or annotations set. */
  readonly dnsCapture?: string;
  /** Lines of `defaultConfig` that istioctl does not know; their keys sort last. */
  readonly unknownFields?: string;
  /** What the DNS name of the gateway resolved to. */
  readonly resolved?: readonly string[];
}

interface Difference {
  /** The heading in the document under which it stands. */
  readonly section: 'cluster.env' | 'mesh.yaml' | 'The other files' | 'Reading the cluster';
  readonly what: string;
  readonly istioctl: string;
  readonly meshlift: string;
  readonly why: string;
  /** Turns what istioctl wrote into what Meshlift writes; absent where the files themselves do not differ. */
  readonly clusterEnv?: (env: Map<string, string>, on: Differences) => void;
  readonly meshConfig?: (text: string, on: Differences) => string;
  readonly hosts?: (text: string, on: Differences) => string;
}

const shellQuoted = (value: string): string => `'${value}'`;
const istiodOf = ({ revision, istioNamespace }: Differences): string =>
  `istiod${revision === 'default' ? '' : `-${revision}`}.${istioNamespace}.svc`;

const clusterEnv: readonly Difference[] = [
  {
    section: 'cluster.env',
    what: '`ISTIO_INBOUND_PORTS`',
    istioctl: 'the ports of the WorkloadGroup, in no fixed order; `*` only where it has none',
    meshlift: 'always `*`',
    why: 'With listed ports, every other port of the machine stays open in plaintext and no policy reaches it. Capture is everything minus an explicit list.',
    clusterEnv: (env) => env.set('ISTIO_INBOUND_PORTS', "'*'"),
  },
  {
    section: 'cluster.env',
    what: '`ISTIO_LOCAL_EXCLUDE_PORTS`',
    istioctl: '`22,15090,15021,15020` (the last is the agent’s status port)',
    meshlift: 'the same, then every port on which sshd really listens',
    why: 'A machine whose sshd listens on another port would lose its way in the moment traffic is captured.',
    clusterEnv: (env, { sshdPorts }) => {
      const excluded = (env.get('ISTIO_LOCAL_EXCLUDE_PORTS') ?? '').replaceAll("'", '').split(',');
      const extra = sshdPorts.map(String).filter((port) => !excluded.includes(port));
      env.set('ISTIO_LOCAL_EXCLUDE_PORTS', shellQuoted([...excluded, ...extra].join(',')));
    },
  },
  {
    section: 'cluster.env',
    what: '`ISTIO_CUSTOM_IP_TABLES`',
    istioctl: 'absent',
    meshlift: '`true`',
    why: 'The packaged start script redirects traffic before Envoy listens, which fails requests of a machine that already serves. With this key it neither applies nor removes rules; the drop-in `istio.service.d/meshlift.conf` does, once the proxy is ready.',
    clusterEnv: (env) => env.set('ISTIO_CUSTOM_IP_TABLES', "'true'"),
  },
  {
    section: 'cluster.env',
    what: '`CA_ADDR`',
    istioctl: 'only for a named revision',
    meshlift: 'always, `istiod.<istio namespace>.svc:15012` for the unrevisioned istiod',
    why: 'The start script otherwise makes up an address of its own, which is wrong wherever Istio is not in `istio-system`.',
    clusterEnv: (env, on) => env.set('CA_ADDR', shellQuoted(`${istiodOf(on)}:15012`)),
  },
  {
    section: 'cluster.env',
    what: '`ISTIO_SVC_IP`',
    istioctl: 'only with `--internalIP` or `--externalIP`',
    meshlift:
      'always: `addressing.ip`, else the address by which the machine is reached where it is its own, else its first address',
    why: 'The address names the WorkloadEntry. A machine with several addresses registers under the same one after each reboot.',
    clusterEnv: (env, { address }) => env.set('ISTIO_SVC_IP', shellQuoted(address)),
  },
  {
    section: 'cluster.env',
    what: '`REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION`',
    istioctl: 'only with `--externalIP`',
    meshlift: 'also where the group has a tcpSocket probe without a host, or a grpc probe',
    why: 'The agent sends such a probe to the machine’s own address, where the proxy takes it in: a TCP connection then always succeeds, whether or not the application runs, and under `STRICT` plaintext gRPC always fails. At localhost the application answers itself.',
    clusterEnv: (env, { isProbedAtLocalhost = false }) => {
      if (isProbedAtLocalhost) env.set('REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION', shellQuoted('true'));
    },
  },
  {
    section: 'cluster.env',
    what: '`ISTIO_META_DNS_CAPTURE`, also in `proxyMetadata` of mesh.yaml',
    istioctl: 'the flag `--capture-dns`, `true` by default, over what mesh configuration and annotations set',
    meshlift: 'what mesh configuration or annotations set, else `true`',
    why: 'There is no flag to remember at each onboarding: who turns DNS capture off does it once, where the mesh or the group is configured. What it writes is what istioctl writes with `--capture-dns=false`.',
    clusterEnv: (env, { dnsCapture }) => {
      if (dnsCapture !== undefined) env.set('ISTIO_META_DNS_CAPTURE', shellQuoted(dnsCapture));
    },
    meshConfig: (text, { dnsCapture }) =>
      dnsCapture === undefined
        ? text
        : text.replace(/ISTIO_META_DNS_CAPTURE: ".*"/, `ISTIO_META_DNS_CAPTURE: ${JSON.stringify(dnsCapture)}`),
  },
  {
    section: 'cluster.env',
    what: '`ISTIO_METAJSON_LABELS`, also in `proxyMetadata` of mesh.yaml',
    istioctl: 'labels of the group',
    meshlift: 'the same, `meshlift.dev/machine: <name>` and `meshlift.dev/workload-group: <group>`',
    why: 'Policies select a machine by its node labels. The first selects one machine and never a pod that shares its `app` label; the second tells the machines of a group from the pods that take over from them.',
    clusterEnv: (env, on) => env.set('ISTIO_METAJSON_LABELS', withOwn(env.get('ISTIO_METAJSON_LABELS') ?? '', on)),
    meshConfig: (text, on) =>
      text.replace(
        /ISTIO_METAJSON_LABELS: ('.*')/,
        (_, labels: string) => `ISTIO_METAJSON_LABELS: ${withOwn(labels, on)}`,
      ),
  },
  {
    section: 'cluster.env',
    what: 'quotes',
    istioctl: 'left out around a value that consists of nothing but the letter `w` and some punctuation',
    meshlift: 'around every value',
    why: 'A shell reads both forms alike; istioctl’s pattern for what needs no quotes is mistyped.',
    clusterEnv: (env) => {
      for (const [key, value] of env) if (!/['"]/.test(value)) env.set(key, shellQuoted(value));
    },
  },
];

const meshConfig: readonly Difference[] = [
  {
    section: 'mesh.yaml',
    what: '`discoveryAddress`',
    istioctl: 'left out for the unrevisioned istiod where the mesh configuration sets none',
    meshlift: 'always written',
    why: 'As `CA_ADDR`.',
    meshConfig: (text, on) =>
      /^ {2}discoveryAddress:/m.test(text)
        ? text
        : // Keys are sorted, and only these few come before it.
          text.replace(
            /^defaultConfig:\n(?: {2}(?:availabilityZone|binaryPath|c\w+|discoveryRefreshDelay):.*\n)*/,
            (head) => `${head}  discoveryAddress: ${istiodOf(on)}:15012\n`,
          ),
  },
  {
    section: 'mesh.yaml',
    what: 'fields that istioctl does not know',
    istioctl: 'dropped',
    meshlift: 'kept',
    why: 'istioctl knows the fields of its own version. A setting of a newer control plane is not lost; an older proxy ignores it.',
    meshConfig: (text, { unknownFields = '' }) => text + unknownFields,
  },
];

const otherFiles: readonly Difference[] = [
  {
    section: 'The other files',
    what: 'all',
    istioctl: 'mode 0744, owned by whoever runs it',
    meshlift:
      '`cluster.env`, `mesh.yaml`: 0644 root. `root-cert.pem`: 0644 istio-proxy, because the agent rewrites it. `istio-token`: 0600 istio-proxy',
    why: 'Nothing of it is a program, and the token is a secret. Root sources `cluster.env`, so nobody else may write it.',
  },
  {
    section: 'The other files',
    what: '`hosts`',
    istioctl: 'one line, and none where the gateway is published by a DNS name',
    meshlift: 'one line per address that the name resolved to, in a marked block of `/etc/hosts`',
    why: 'Load balancers of several clouds have a name only.',
    hosts: (text, on) =>
      on.resolved === undefined ? text : on.resolved.map((ip) => `${ip} ${istiodOf(on)}\n`).join(''),
  },
  {
    section: 'The other files',
    what: '`istio-token`',
    istioctl: 'made once, one hour',
    meshlift: 'made by TokenRequest inside the activity that writes it',
    why: 'It never enters a workflow history, a log or an argument.',
  },
];

const reading: readonly Difference[] = [
  {
    section: 'Reading the cluster',
    what: 'a WorkloadGroup from the API without `serviceAccount`',
    istioctl: 'empty account, and the token request fails',
    meshlift: '`default`',
    why: 'istioctl fills in defaults only for a group from a file.',
  },
  {
    section: 'Reading the cluster',
    what: 'a WorkloadGroup from the API without `metadata` or `template`',
    istioctl: 'crashes',
    meshlift: 'treated as empty',
    why: 'As above.',
  },
  {
    section: 'Reading the cluster',
    what: '`proxyMetadata` in the annotation `proxy.istio.io/config` while the mesh has none',
    istioctl: 'crashes',
    meshlift: 'merged',
    why: 'As above.',
  },
  {
    section: 'Reading the cluster',
    what: '`--revision` names a tag',
    istioctl: 'looks for a ConfigMap of the tag’s name and fails',
    meshlift: 'the tag is resolved to its revision by the webhooks’ labels `istio.io/tag` and `istio.io/rev`',
    why: 'The certificate of an istiod does not carry the names of tags.',
  },
  {
    section: 'Reading the cluster',
    what: 'no revision',
    istioctl: 'the unrevisioned istiod',
    meshlift:
      'the revision or tag of the namespace’s label `istio.io/rev`; else the tag `default`; else the revision of `istiod-default-validator`; else the only revision that is installed',
    why: 'A machine then joins the control plane that the pods of its namespace join.',
  },
];

export const listedDifferences: readonly Difference[] = [...clusterEnv, ...meshConfig, ...otherFiles, ...reading];

/** Differences that have changed a file in this process: one that none of the groups shows is not tested. */
export const shownDifferences = new Set<string>();

const show = (difference: Difference, before: string, after: string): string => {
  if (before !== after) shownDifferences.add(difference.what);
  return after;
};

const envText = (env: ReadonlyMap<string, string>): string =>
  [...env]
    .map(([key, value]) => `${key}=${value}\n`)
    .sort()
    .join('');

/** cluster.env: one edit per listed difference; every other line stays as it is. */
export function clusterEnvWithDifferences(text: string, on: Differences): string {
  // A value may hold line ends.
  const lines = text.replace(/\n$/, '').split(/\n(?=\w+=)/);
  const env = new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  for (const difference of listedDifferences) {
    const before = envText(env);
    difference.clusterEnv?.(env, on);
    show(difference, before, envText(env));
  }
  return envText(env);
}

export function meshConfigWithDifferences(text: string, on: Differences): string {
  return listedDifferences.reduce(
    (before, difference) => show(difference, before, difference.meshConfig?.(before, on) ?? before),
    text,
  );
}

export function hostsWithDifferences(text: string, on: Differences): string {
  return listedDifferences.reduce(
    (before, difference) => show(difference, before, difference.hosts?.(before, on) ?? before),
    text,
  );
}

function withOwn(quoted: string, { machine, group }: Differences): string {
  const own = { 'meshlift.dev/machine': machine, 'meshlift.dev/workload-group': group };
  const labels = { ...(JSON.parse(quoted.slice(1, -1)) as Record<string, string>), ...own };
  return shellQuoted(JSON.stringify(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))));
}
