/** The cluster as Meshlift reads and writes it, through the Kubernetes API. */
import {
  AuthenticationV1TokenRequest,
  type KubeConfig,
  PatchStrategy,
  V1DeleteOptions,
  V1Preconditions,
  V1TokenRequestSpec,
} from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import type {
  AppliedObject,
  ClusterFacts,
  ClusterPort,
  ClusterQuery,
  FoundWorkloadEntry,
  HostPolicy,
  KnownMachine,
  KubernetesObject,
  ObjectRef,
} from '../ports/cluster-port.ts';
import type { SshCredential } from '../ports/host-port.ts';
import { groupLabel, groupLabelValue, machineLabel, managedByLabel, manager } from '../render/names.ts';
import { describeObject, refOf } from '../render/object-ref.ts';
import { IstiodDebug } from './istiod-debug.ts';
import { asClusterFailure, found, type KubernetesClient, kubernetesClient } from './kubernetes-client.ts';
import { readClusterFacts } from './kubernetes-facts.ts';
import { listMachines, readHostPolicies } from './kubernetes-hosts.ts';
import { findEntry, labelEntry, readEntry, registeredGroupAnnotation } from './workload-entries.ts';

export interface ClusterOptions {
  /** Where istiod runs. */
  readonly istioNamespace: string;
  /** Where the Secrets with the machines' logins stand. */
  readonly meshliftNamespace: string;
}

export class KubernetesCluster implements ClusterPort {
  readonly #client: KubernetesClient;
  readonly #debug: IstiodDebug;
  readonly #options: ClusterOptions;

  constructor(kubeConfig: KubeConfig, options: ClusterOptions) {
    this.#client = kubernetesClient(kubeConfig);
    this.#debug = new IstiodDebug(kubeConfig, options.istioNamespace);
    this.#options = options;
  }

  async readFacts(query: ClusterQuery): Promise<ClusterFacts> {
    const source = { client: this.#client, debug: this.#debug, istioNamespace: this.#options.istioNamespace };
    return await asClusterFailure(`Facts for ${query.namespace}/${query.machine}`, () =>
      readClusterFacts(source, query),
    );
  }

  async apply(objects: readonly KubernetesObject[]): Promise<readonly AppliedObject[]> {
    const applied: AppliedObject[] = [];
    for (const object of objects) applied.push(await this.#apply(object));
    return applied;
  }

  async #apply(object: KubernetesObject): Promise<AppliedObject> {
    const ref = refOf(object);
    return await asClusterFailure(`Apply of ${describeObject(ref)}`, async () => {
      const before = await found(this.#client.objects.read(header(ref)));
      const after = await this.#client.objects.patch<Resource>(
        { ...object, metadata: mutable(object.metadata) },
        undefined,
        undefined,
        manager,
        true,
        PatchStrategy.ServerSideApply,
      );
      const isSame = before?.metadata?.resourceVersion === after.metadata.resourceVersion;
      return { ref, result: before === undefined ? 'created' : isSame ? 'unchanged' : 'changed' };
    });
  }

  async remove(objects: readonly ObjectRef[]): Promise<readonly ObjectRef[]> {
    const removed: ObjectRef[] = [];
    for (const ref of objects) if (await this.#remove(ref)) removed.push(ref);
    return removed;
  }

  /** Leaves alone what neither Meshlift nor an istiod's auto-registration made. */
  async #remove(ref: ObjectRef): Promise<boolean> {
    return await asClusterFailure(`Removal of ${describeObject(ref)}`, async () => {
      const object = await found(this.#client.objects.read(header(ref)));
      if (object === undefined || !mayRemove(object)) return false;
      const uid = object.metadata?.uid;
      const body = new V1DeleteOptions();
      if (uid !== undefined) body.preconditions = Object.assign(new V1Preconditions(), { uid });
      const gone = await found(
        this.#client.objects.delete(header(ref), undefined, undefined, undefined, undefined, 'Background', body),
      );
      return gone !== undefined;
    });
  }

  async listGroupMachines(namespace: string, workloadGroup: string): Promise<readonly string[]> {
    const selector = `${managedByLabel}=${manager},${groupLabel}=${groupLabelValue(workloadGroup)},${machineLabel}`;
    const kinds = [
      ['security.istio.io/v1', 'PeerAuthentication'],
      ['networking.istio.io/v1', 'Sidecar'],
    ] as const;
    return await asClusterFailure(`Machines of WorkloadGroup ${namespace}/${workloadGroup}`, async () => {
      const lists = await Promise.all(
        kinds.map(([apiVersion, kind]) =>
          this.#client.objects.list(apiVersion, kind, namespace, undefined, undefined, undefined, undefined, selector),
        ),
      );
      const names = lists.flatMap(({ items }) => items.map(({ metadata }) => metadata?.labels?.[machineLabel] ?? ''));
      return [...new Set(names)].filter((name) => name !== '').sort();
    });
  }

  async readHostPolicies(): Promise<readonly HostPolicy[]> {
    return await asClusterFailure('HostPolicies', () => readHostPolicies(this.#client));
  }

  async listMachines(): Promise<readonly KnownMachine[]> {
    return await asClusterFailure('Machines of all namespaces', () => listMachines(this.#client));
  }

  async isServiceAccountUsed(namespace: string, serviceAccount: string): Promise<boolean> {
    return await asClusterFailure(`Users of ServiceAccount ${namespace}/${serviceAccount}`, async () => {
      const fieldSelector = `spec.serviceAccountName=${serviceAccount}`;
      const [pods, ...lists] = await Promise.all([
        this.#client.core.listNamespacedPod({ namespace, fieldSelector, limit: 1 }),
        ...accountKinds.map(([apiVersion, kind]) =>
          this.#client.objects.list<KubernetesObject>(apiVersion, kind, namespace),
        ),
      ]);
      const names = lists.flatMap(({ items }) => items.map(({ spec }) => accountOf(spec as NamesAccount | undefined)));
      return pods.items.length > 0 || names.includes(serviceAccount);
    });
  }

  async issueToken(
    namespace: string,
    serviceAccount: string,
    lifetimeSeconds: number,
  ): Promise<{ token: string; expiresAt: string }> {
    const body = new AuthenticationV1TokenRequest();
    body.spec = Object.assign(new V1TokenRequestSpec(), {
      audiences: ['istio-ca'],
      expirationSeconds: lifetimeSeconds,
    });
    return await asClusterFailure(`Token of ServiceAccount ${namespace}/${serviceAccount}`, async () => {
      const { status } = await this.#client.core.createNamespacedServiceAccountToken({
        name: serviceAccount,
        namespace,
        body,
      });
      const token = status?.token;
      const expirationTimestamp = status?.expirationTimestamp;
      if (token === undefined || expirationTimestamp === undefined) {
        throw new Error('The API server answered a TokenRequest without a token');
      }
      return { token, expiresAt: new Date(expirationTimestamp).toISOString() };
    });
  }

  async readWorkloadEntry(
    namespace: string,
    workloadGroup: string,
    address: string,
  ): Promise<FoundWorkloadEntry | undefined> {
    return await asClusterFailure(`WorkloadEntry of ${namespace}/${workloadGroup} at ${address}`, () =>
      readEntry(this.#client, namespace, workloadGroup, address),
    );
  }

  async findWorkloadEntry(
    namespace: string,
    workloadGroup: string,
    machine: string,
  ): Promise<FoundWorkloadEntry | undefined> {
    return await asClusterFailure(`WorkloadEntries of ${namespace}/${workloadGroup}`, () =>
      findEntry(this.#client, namespace, workloadGroup, machine),
    );
  }

  async labelWorkloadEntry(namespace: string, name: string, label: string, value: string | null): Promise<boolean> {
    return await asClusterFailure(`Label ${label} of WorkloadEntry ${namespace}/${name}`, () =>
      labelEntry(this.#client, namespace, name, label, value),
    );
  }

  /** The private key of a login. Never leaves the activity that asks for it. */
  async readSshCredential(name: string): Promise<Extract<SshCredential, { privateKey: string }>> {
    const { meshliftNamespace: namespace } = this.#options;
    const secret = await asClusterFailure(`Secret ${namespace}/${name}`, () =>
      found(this.#client.core.readNamespacedSecret({ name, namespace })),
    );
    const encoded = secret?.type === 'kubernetes.io/ssh-auth' ? secret.data?.['ssh-privatekey'] : undefined;
    if (encoded === undefined) {
      throw failure(
        'CredentialMissing',
        `Secret ${namespace}/${name} ${secret === undefined ? 'does not exist' : 'is not of type kubernetes.io/ssh-auth'}; create it there with the login's private key under ssh-privatekey`,
      );
    }
    return { privateKey: Buffer.from(encoded, 'base64').toString('utf8') };
  }
}

/** What server-side apply sends and gets back. */
interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    name: string;
    namespace: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    resourceVersion?: string;
  };
  readonly spec?: unknown;
}

/** Whatever may name an account without a pod that runs: scaled to nothing, or waiting for its time. */
const accountKinds = [
  ['networking.istio.io/v1', 'WorkloadGroup'],
  ['apps/v1', 'Deployment'],
  ['apps/v1', 'StatefulSet'],
  ['apps/v1', 'DaemonSet'],
  ['batch/v1', 'Job'],
  ['batch/v1', 'CronJob'],
] as const;

interface NamesAccount {
  readonly template?: {
    readonly serviceAccount?: string;
    readonly spec?: { readonly serviceAccountName?: string };
  };
  readonly jobTemplate?: { readonly spec?: NamesAccount };
}

/** The account that a WorkloadGroup, a workload or a CronJob names. */
function accountOf(spec: NamesAccount | undefined): string | undefined {
  const { template } = spec?.jobTemplate?.spec ?? spec ?? {};
  return template?.serviceAccount ?? template?.spec?.serviceAccountName;
}

interface Labelled {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

const mayRemove = ({ metadata }: Labelled): boolean =>
  metadata?.labels?.[managedByLabel] === manager || metadata?.annotations?.[registeredGroupAnnotation] !== undefined;

const header = ({ apiVersion, kind, namespace, name }: ObjectRef) => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
});

/** The client's types ask for maps that it could write to. */
const mutable = ({ name, namespace, labels, annotations }: KubernetesObject['metadata']) => ({
  name,
  namespace,
  ...(labels === undefined ? {} : { labels: { ...labels } }),
  ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
});
