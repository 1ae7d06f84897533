/** `mesh.yaml`: the proxy's configuration, merged in istioctl's order, and its metadata, which cluster.env repeats. */
import { goYaml, type YamlMap } from './go-yaml.ts';
import { istiodAddress } from './names.ts';
import { asMap, normalizeMessage, overlayProxyConfig, parseMeshConfig } from './proxy-config.ts';
import { canonicalService, type Group, nodeLabels } from './workload-group.ts';

export interface MeshConfigInput {
  readonly machine: string;
  readonly group: Group;
  /** Resolved: never a tag. */
  readonly revision: string;
  readonly istioNamespace: string;
  readonly clusterId: string;
  /** Key `mesh` of the revision's ConfigMap, verbatim. */
  readonly meshConfig: string;
}

export interface MeshConfig {
  /** Text of mesh.yaml. */
  readonly text: string;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** 0 where nothing sets it: the agent then uses 15020. */
  readonly statusPort: number;
}

const proxyConfigAnnotation = 'proxy.istio.io/config';
/** On, unless mesh configuration or an annotation says otherwise. */
const dnsCapture = 'ISTIO_META_DNS_CAPTURE';

/** Throws on a mesh ConfigMap or annotation that is not YAML. */
export function renderMeshConfig(input: MeshConfigInput): MeshConfig {
  const { group } = input;
  const mesh = parseMeshConfig(input.meshConfig);
  const merged = [group.annotations, group.spec.metadata?.annotations ?? {}].reduce<YamlMap>(
    (config, annotations) => overlayProxyConfig(config, annotations[proxyConfigAnnotation]),
    { discoveryAddress: istiodAddress(input.revision, input.istioNamespace), ...mesh.defaultConfig },
  );
  const inherited = asMap(merged['proxyMetadata']) as Readonly<Record<string, string>>;
  const meshId = typeof merged['meshId'] === 'string' ? merged['meshId'] : '';
  const proxyMetadata = { [dnsCapture]: 'true', ...inherited, ...machineMetadata(input, mesh.trustDomain, meshId) };
  const { probe } = group.spec;
  const fields = Object.entries(merged).filter(([field]) => field !== 'readinessProbe');
  const defaultConfig: YamlMap = {
    ...Object.fromEntries(fields),
    ...(probe === undefined ? {} : { readinessProbe: normalizeMessage(probe) }),
    proxyMetadata,
  };
  const statusPort = merged['statusPort'];
  return {
    text: goYaml({ defaultConfig }),
    proxyMetadata,
    statusPort: typeof statusPort === 'number' ? statusPort : 0,
  };
}

/** What istioctl computes from the group; the label by which policies select this machine is ours. */
function machineMetadata(
  { group, machine, clusterId }: MeshConfigInput,
  trustDomain: string,
  meshId: string,
): Record<string, string> {
  const canonical = canonicalService(group.labels, group.name);
  const ports = Object.entries(group.spec.template?.ports ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    CANONICAL_SERVICE: canonical.name,
    CANONICAL_REVISION: canonical.revision,
    POD_NAMESPACE: group.namespace,
    SERVICE_ACCOUNT: group.serviceAccount,
    TRUST_DOMAIN: trustDomain,
    ISTIO_META_CLUSTER_ID: clusterId,
    ISTIO_META_MESH_ID: meshId,
    ISTIO_META_NETWORK: group.network,
    ...(ports.length === 0
      ? {}
      : {
          ISTIO_META_POD_PORTS: JSON.stringify(
            ports.map(([name, containerPort]) => ({ name, containerPort, protocol: '' })),
          ),
        }),
    ISTIO_META_WORKLOAD_NAME: group.name,
    ISTIO_METAJSON_LABELS: sortedJson(nodeLabels(machine, group)),
    ISTIO_META_AUTO_REGISTER_GROUP: group.name,
  };
}

const sortedJson = (labels: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))));
