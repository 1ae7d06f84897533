/** Reads what the cluster holds of one machine and of what it is to join. */
import { X509Certificate } from 'node:crypto';

import type { V1ConfigMap } from '@kubernetes/client-node';

import type {
  ClusterFacts,
  ClusterQuery,
  FoundService,
  FoundWorkloadGroup,
  KubernetesObject,
} from '../ports/cluster-port.ts';
import { groupLabel, groupLabelValue, isRevisioned, machineLabel, managedByLabel, manager } from '../render/names.ts';
import { readGateway } from './istio-gateway.ts';
import { readRevision } from './istio-revisions.ts';
import type { IstiodDebug } from './istiod-debug.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';
import { readPolicies, rootNamespaceOf } from './kubernetes-policies.ts';

export interface FactsSource {
  readonly client: KubernetesClient;
  readonly debug: IstiodDebug;
  readonly istioNamespace: string;
}

/** Everything that does not hang on the revision at once, then the revision's ConfigMaps. */
export async function readClusterFacts(source: FactsSource, query: ClusterQuery): Promise<ClusterFacts> {
  const { client, istioNamespace } = source;
  const { namespace } = query;
  const namespaceObject = await found(client.core.readNamespace({ name: namespace }));
  const namespaceLabels = namespaceObject?.metadata?.labels ?? {};
  const [mesh, gateway, inNamespace] = await Promise.all([
    readMesh(source, query, namespaceLabels),
    readGateway(client, istioNamespace),
    // An account that is bound per namespace may not ask in one that is not there.
    namespaceObject === undefined ? nothingThere : readNamespace(client, query),
  ]);
  return {
    istioNamespace,
    namespaceExists: namespaceObject !== undefined,
    namespaceIsAmbient: namespaceLabels['istio.io/dataplane-mode'] === 'ambient',
    ...inNamespace,
    ...mesh,
    ...(gateway === undefined ? {} : { gateway }),
    policies: namespaceObject === undefined ? [] : await readPolicies(client, namespace, mesh.rootNamespace),
  };
}

/** Whose policies hold for the whole mesh, as the revision that injects the pods of a namespace says it. */
export async function readRootNamespace(source: FactsSource, namespace: string): Promise<string> {
  const object = await found(source.client.core.readNamespace({ name: namespace }));
  return (await readMesh(source, {}, object?.metadata?.labels ?? {})).rootNamespace;
}

/** The revision that is asked for, or that injects the namespace's pods, and what its control plane is configured with. */
async function readMesh(
  source: FactsSource,
  query: Pick<ClusterQuery, 'revision'>,
  namespaceLabels: Readonly<Record<string, string>>,
) {
  const { client, debug, istioNamespace } = source;
  const revision = await readRevision(client, debug, istioNamespace, revisionQuery(query, namespaceLabels));
  const controlPlane = revision === undefined ? {} : await readControlPlane(source, revision.name);
  return {
    ...(revision === undefined ? {} : { revision }),
    ...controlPlane,
    rootNamespace: rootNamespaceOf(controlPlane.meshConfig) ?? istioNamespace,
  };
}

type InNamespace = Pick<
  ClusterFacts,
  'workloadGroup' | 'serviceAccountExists' | 'rootCertificate' | 'rootCertificateExpiresAt' | 'services' | 'objects'
>;

const nothingThere: InNamespace = { serviceAccountExists: false, services: [], objects: [] };

async function readNamespace(client: KubernetesClient, query: ClusterQuery): Promise<InNamespace> {
  const { namespace } = query;
  const group = await readGroup(client, query);
  const [account, root, services, objects] = await Promise.all([
    found(client.core.readNamespacedServiceAccount({ name: serviceAccountName(query, group), namespace })),
    found(client.core.readNamespacedConfigMap({ name: 'istio-ca-root-cert', namespace })),
    readServices(client, namespace),
    readOurObjects(client, query),
  ]);
  const rootCertificate = root?.data?.['root-cert.pem'];
  return {
    ...(group === undefined ? {} : { workloadGroup: group }),
    serviceAccountExists: account !== undefined,
    ...(rootCertificate === undefined ? {} : { rootCertificate, ...expiryOf(rootCertificate) }),
    services,
    objects,
  };
}

async function readServices(client: KubernetesClient, namespace: string): Promise<readonly FoundService[]> {
  const { items } = await client.core.listNamespacedService({ namespace });
  return items.flatMap(({ spec }) =>
    spec?.selector === undefined
      ? []
      : [
          {
            selector: spec.selector,
            ports: (spec.ports ?? []).map(({ name, port, targetPort, appProtocol }) => ({
              port,
              ...(name === undefined ? {} : { name }),
              ...(targetPort === undefined ? {} : { targetPort }),
              ...(appProtocol === undefined ? {} : { appProtocol }),
            })),
          },
        ],
  );
}

/** As the group says, else as the request for a new group says; `default` for a group that names none. */
function serviceAccountName(query: ClusterQuery, group: FoundWorkloadGroup | undefined): string {
  if (group === undefined) return query.serviceAccount ?? query.workloadGroup;
  const named = group.spec.template?.serviceAccount ?? '';
  return named === '' ? 'default' : named;
}

function revisionQuery(
  query: Pick<ClusterQuery, 'revision'>,
  namespaceLabels: Readonly<Record<string, string>>,
): { readonly wanted?: string; readonly namespaceLabel?: string } {
  const namespaceLabel = namespaceLabels['istio.io/rev'];
  return {
    ...(query.revision === undefined ? {} : { wanted: query.revision }),
    ...(namespaceLabel === undefined ? {} : { namespaceLabel }),
  };
}

interface RawWorkloadGroup {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: FoundWorkloadGroup['spec'];
}

async function readGroup(client: KubernetesClient, query: ClusterQuery): Promise<FoundWorkloadGroup | undefined> {
  const group = (await found(
    client.custom.getNamespacedCustomObject({
      group: 'networking.istio.io',
      version: 'v1',
      namespace: query.namespace,
      plural: 'workloadgroups',
      name: query.workloadGroup,
    }),
  )) as RawWorkloadGroup | undefined;
  if (group === undefined) return undefined;
  return {
    isOurs: group.metadata?.labels?.[managedByLabel] === manager,
    annotations: group.metadata?.annotations ?? {},
    spec: group.spec ?? {},
  };
}

/** The namespace's ServiceAccounts of ours, the group and the machine's own; what the API server adds is left out. */
async function readOurObjects(client: KubernetesClient, query: ClusterQuery): Promise<readonly KubernetesObject[]> {
  const ofGroup = `${managedByLabel}=${manager},${groupLabel}=${groupLabelValue(query.workloadGroup)}`;
  const ofMachine = `${managedByLabel}=${manager},${machineLabel}=${query.machine}`;
  const list = async (apiVersion: string, kind: string, selector: string): Promise<readonly KubernetesObject[]> => {
    const answer = await found(
      client.objects.list(apiVersion, kind, query.namespace, undefined, undefined, undefined, undefined, selector),
    );
    return (answer?.items ?? []).map((item) => rendered({ ...item, apiVersion, kind } as KubernetesObject));
  };
  const [accounts, groups, authentications, sidecars, authorizations] = await Promise.all([
    list('v1', 'ServiceAccount', `${managedByLabel}=${manager}`),
    list('networking.istio.io/v1', 'WorkloadGroup', ofGroup),
    list('security.istio.io/v1', 'PeerAuthentication', ofMachine),
    list('networking.istio.io/v1', 'Sidecar', ofMachine),
    list('security.istio.io/v1', 'AuthorizationPolicy', ofMachine),
  ]);
  return [...accounts, ...groups, ...authentications, ...sidecars, ...authorizations];
}

/** Of the first certificate to run out; undefined where one of them cannot be read. */
function expiryOf(pem: string): Pick<ClusterFacts, 'rootCertificateExpiresAt'> {
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first] = certificates.map((text) => new X509Certificate(text).validToDate.toISOString()).sort();
    return first === undefined ? {} : { rootCertificateExpiresAt: first };
  } catch {
    return {};
  }
}

function rendered({ apiVersion, kind, metadata, spec }: KubernetesObject): KubernetesObject {
  const { name, namespace, labels, annotations } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    ...(spec === undefined ? {} : { spec }),
  };
}

async function readControlPlane(
  { client, istioNamespace: namespace }: FactsSource,
  revision: string,
): Promise<Pick<ClusterFacts, 'meshConfig' | 'clusterId'>> {
  const suffix = isRevisioned(revision) ? `-${revision}` : '';
  const [mesh, injector] = await Promise.all([
    found(client.core.readNamespacedConfigMap({ name: `istio${suffix}`, namespace })),
    found(client.core.readNamespacedConfigMap({ name: `istio-sidecar-injector${suffix}`, namespace })),
  ]);
  const meshConfig = mesh?.data?.['mesh'];
  const clusterId = clusterNameOf(injector);
  return { ...(meshConfig === undefined ? {} : { meshConfig }), ...(clusterId === undefined ? {} : { clusterId }) };
}

/** Undefined where the values are absent or unreadable: the plan then says what is missing. */
function clusterNameOf(injector: V1ConfigMap | undefined): string | undefined {
  try {
    const values = JSON.parse(injector?.data?.['values'] ?? '{}') as {
      readonly global?: { readonly multiCluster?: { readonly clusterName?: string } };
    };
    return values.global?.multiCluster?.clusterName;
  } catch {
    return undefined;
  }
}
