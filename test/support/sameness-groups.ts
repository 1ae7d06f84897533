/** The meshes and WorkloadGroups that are rendered by istioctl and by Meshlift. */
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { FoundWorkloadGroup } from '../../activities/ports/cluster-port.ts';
import type { Differences } from './istioctl-differences.ts';

/** An Istio installation of its own, as far as istioctl reads one: ConfigMaps, a Deployment without replicas, a gateway. */
export interface Mesh {
  readonly revision: string;
  readonly meshConfig: string;
  readonly clusterName: string;
  /** The Service `istio-eastwestgateway`; absent: there is none. */
  readonly gateway?: { readonly ip?: string; readonly hostname?: string; readonly externalIP?: string };
}

export interface SamenessGroup {
  readonly title: string;
  readonly mesh: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec: FoundWorkloadGroup['spec'];
  /** What istioctl is told beside group, namespace and revision. */
  readonly flags?: readonly string[];
  readonly addressing?: NonNullable<OnboardMachine['addressing']>;
  readonly differences?: Pick<Differences, 'dnsCapture' | 'isProbedAtLocalhost' | 'unknownFields'>;
}

/** What a mesh's owner may write in a revision's ConfigMap: every kind of field that the round trip through protobuf touches. */
const richMeshConfig = `
trustDomain: example.org
defaultConfig:
  concurrency: 0
  statusPort: 15120
  drain_duration: 1m30s
  terminationDrainDuration: 1500ms
  interceptionMode: REDIRECT
  meshId: mesh-1
  holdApplicationUntilProxyStarts: false
  extraStatTags: [one, two]
  configPath: ""
  gatewayTopology: {numTrustedProxies: 2}
  proxyStatsMatcher: {inclusionPrefixes: [a, b], inclusionRegexps: []}
  tracing:
    sampling: 0.001
    zipkin: {address: "zipkin.istio-system:9411"}
    customTags: {env: {literal: {value: "on"}}}
  image: {imageType: distroless}
  proxyMetadata:
    FROM_MESH: mesh
    FROM_OBJECT: mesh
    NUMBER_LIKE: "0123"
    BOOL_LIKE: "yes"
    BARE: "w/w"
    LONG: "${'words that go on '.repeat(12)}end"
    QUOTES: it's "quoted" \\ here
    LINES: "a\\nb\\n"
    ISTIO_META_DNS_CAPTURE: "false"
`;

export const meshes: Readonly<Record<string, Mesh>> = {
  canary: {
    revision: 'canary',
    meshConfig: 'trustDomain: cluster.local\ndefaultConfig: {proxyMetadata: {FROM_MESH: mesh}}\n',
    clusterName: 'Kubernetes',
    gateway: { ip: '203.0.113.10' },
  },
  rich: {
    revision: 'rich',
    meshConfig: richMeshConfig,
    clusterName: 'cluster-2',
    gateway: { externalIP: '203.0.113.11' },
  },
  unrevisioned: {
    revision: 'default',
    meshConfig: 'defaultConfig: {concurrency: 2, proxyMetadata: {}}\n',
    clusterName: 'Kubernetes',
    gateway: { hostname: 'localhost' },
  },
  addressed: {
    revision: 'default',
    meshConfig: 'defaultConfig: {discoveryAddress: "istiod.elsewhere.svc:15012", statusPort: 15021}\n',
    clusterName: '',
  },
  newer: {
    revision: 'newer',
    meshConfig: 'newSetting: 1\ndefaultConfig: {zeal: {level: high}}\n',
    clusterName: 'Kubernetes',
    gateway: { ip: 'fd00:10:96::2' },
  },
};

const account = { serviceAccount: 'default' } as const;
const proxyConfig = (text: string): Record<string, string> => ({ 'proxy.istio.io/config': text });
const internal = '10.245.0.77';

export const groups: readonly SamenessGroup[] = [
  {
    title: 'proxy configuration on the group',
    mesh: 'canary',
    annotations: proxyConfig('concurrency: 4\nproxyMetadata: {FROM_GROUP: group, FROM_MESH: group}'),
    spec: { metadata: { labels: { app: 'a' } }, template: { ...account } },
  },
  {
    title: 'proxy configuration on the template',
    mesh: 'canary',
    spec: {
      metadata: { labels: { app: 'a' }, annotations: proxyConfig('{statusPort: 15090, drainDuration: 5s}') },
      template: { ...account },
    },
  },
  {
    title: 'custom mesh configuration, with proxy configuration on group and template',
    mesh: 'rich',
    annotations: proxyConfig('proxyMetadata: {FROM_OBJECT: object, FROM_TEMPLATE: object}'),
    spec: {
      metadata: {
        labels: { 'app.kubernetes.io/name': 'rich', team: 'a_b', version: 'v1' },
        annotations: proxyConfig(
          'tracing: {zipkin: {address: "other:9411"}}\nproxyMetadata: {FROM_TEMPLATE: template}',
        ),
      },
      template: { ...account, labels: { version: 'v2' }, network: 'vm-net', weight: 3 },
      probe: {
        initialDelaySeconds: 0,
        failureThreshold: 3,
        httpGet: { port: 8080, path: '/x y', httpHeaders: [{ name: 'a', value: 'b' }] },
      },
    },
    differences: { dnsCapture: 'false' },
  },
  {
    title: 'labels of the template over labels of the group',
    mesh: 'canary',
    spec: {
      metadata: { labels: { app: 'group', version: 'v1', tier: 'back' } },
      template: {
        ...account,
        labels: { app: 'template', 'service.istio.io/canonical-revision': 'blue', 'example.com/owner': 'x.y-z' },
      },
    },
  },
  { title: 'no ports and no labels', mesh: 'canary', spec: { metadata: {}, template: { ...account } } },
  {
    title: 'several ports',
    mesh: 'canary',
    spec: {
      metadata: { labels: { app: 'a' } },
      template: { ...account, ports: { 'tcp-db': 5432, http: 8080, 'grpc-api': 9090, admin: 15_500 } },
    },
  },
  {
    title: 'a network and a locality',
    mesh: 'canary',
    spec: { metadata: {}, template: { ...account, network: 'vm-net', locality: 'eu/eu-1/a', ports: { http: 8080 } } },
  },
  {
    title: 'an internal address',
    mesh: 'canary',
    spec: { metadata: {}, template: { ...account } },
    flags: ['--internalIP', internal],
    addressing: { ip: internal },
  },
  {
    title: 'an external address',
    mesh: 'canary',
    spec: { metadata: {}, template: { ...account }, probe: { tcpSocket: { port: 8080 } } },
    flags: ['--externalIP', '203.0.113.77'],
    addressing: { ip: '203.0.113.77', external: true },
  },
  {
    title: 'IPv6, in a mesh with settings that istioctl does not know',
    mesh: 'newer',
    spec: { metadata: { labels: { app: 'six' } }, template: { ...account, ports: { http: 8080 } } },
    flags: ['--internalIP', 'fd00:10:96::77'],
    addressing: { ip: 'fd00:10:96::77' },
    differences: { unknownFields: '  zeal:\n    level: high\n' },
  },
  {
    title: 'DNS capture off',
    mesh: 'canary',
    annotations: proxyConfig('proxyMetadata: {ISTIO_META_DNS_CAPTURE: "false"}'),
    spec: { metadata: { labels: { app: 'a' } }, template: { ...account } },
    flags: ['--capture-dns=false'],
  },
  {
    title: 'the unrevisioned istiod behind a gateway with a DNS name',
    mesh: 'unrevisioned',
    spec: { metadata: { labels: { app: 'a' } }, template: { ...account, ports: { http: 8080 } } },
  },
  {
    title: 'the unrevisioned istiod at an address of the mesh’s own, without a gateway',
    mesh: 'addressed',
    spec: { metadata: { labels: { app: 'a' } }, template: { ...account } },
  },
  {
    title: 'a probe by HTTP',
    mesh: 'canary',
    spec: {
      metadata: {},
      template: { ...account },
      probe: {
        periodSeconds: 2,
        timeoutSeconds: 1,
        successThreshold: 1,
        httpGet: { port: 8443, path: '/healthz', scheme: 'HTTPS', host: '127.0.0.1' },
      },
    },
  },
  {
    title: 'a probe by TCP',
    mesh: 'canary',
    spec: {
      metadata: {},
      template: { ...account },
      probe: { initialDelaySeconds: 5, tcpSocket: { host: 'localhost', port: 5432 } },
    },
  },
  {
    title: 'a probe by command',
    mesh: 'canary',
    spec: {
      metadata: {},
      template: { ...account },
      probe: {
        periodSeconds: 10,
        exec: { command: ['sh', '-c', 'test -e /run/ready: && echo "it\'s #1"', 'yes'] },
      },
    },
  },
  {
    title: 'a probe by gRPC',
    mesh: 'canary',
    spec: {
      metadata: {},
      template: { ...account },
      probe: { failureThreshold: 2, grpc: { port: 9090, service: 'orders.v1.Orders' } },
    },
    differences: { isProbedAtLocalhost: true },
  },
  {
    title: 'a probe by TCP that names no host',
    mesh: 'canary',
    spec: { metadata: {}, template: { ...account }, probe: { tcpSocket: { port: 5432 } } },
    differences: { isProbedAtLocalhost: true },
  },
];
