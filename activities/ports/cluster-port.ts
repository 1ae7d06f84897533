/** What Meshlift reads and writes in the Kubernetes API. Plain data only. */

/** Any Kubernetes object, as rendered for server-side apply. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
}

export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A WorkloadGroup's fields that Meshlift reads (networking.istio.io/v1). */
export interface FoundWorkloadGroup {
  /** `metadata.labels` holds `app.kubernetes.io/managed-by: meshlift`, so Meshlift may remove it with its last machine. */
  readonly isOurs: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: {
    readonly metadata?: {
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    };
    readonly template?: {
      readonly ports?: Readonly<Record<string, number>>;
      readonly labels?: Readonly<Record<string, string>>;
      readonly network?: string;
      readonly locality?: string;
      readonly weight?: number;
      readonly serviceAccount?: string;
    };
    readonly probe?: Readonly<Record<string, unknown>>;
  };
}

/** A Service of the machine's namespace, as far as it says what a port speaks. */
export interface FoundService {
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly {
    readonly name?: string;
    readonly port: number;
    readonly targetPort?: number | string;
    readonly appProtocol?: string;
  }[];
}

export interface ClusterFacts {
  /** Namespace of istiod, its ConfigMaps and its gateway; absent = `istio-system`. */
  readonly istioNamespace?: string;
  readonly namespaceExists: boolean;
  /** Namespace carries `istio.io/dataplane-mode: ambient`. */
  readonly namespaceIsAmbient: boolean;
  readonly workloadGroup?: FoundWorkloadGroup;
  readonly serviceAccountExists: boolean;
  /** The control plane the machine is to join; absent when the revision or tag is not known. */
  readonly revision?: {
    /** Resolved from tag or default: never a tag. `default` for an unrevisioned istiod. */
    readonly name: string;
    /** Version of the istiod, e.g. `1.30.0`; the machine's package must match it. */
    readonly version: string;
    readonly readyReplicas: number;
  };
  /** Key `mesh` of ConfigMap `istio[-<revision>]`, verbatim YAML. */
  readonly meshConfig?: string;
  /** `global.multiCluster.clusterName` of ConfigMap `istio-sidecar-injector[-<revision>]`. */
  readonly clusterId?: string;
  /** Key `root-cert.pem` of ConfigMap `istio-ca-root-cert` in the machine's namespace. */
  readonly rootCertificate?: string;
  /** RFC 3339, when the first of its certificates runs out; absent where the text holds none that can be read. */
  readonly rootCertificateExpiresAt?: string;
  /** Address of Service `istio-eastwestgateway`: an IP, or a DNS name with the IPs it resolved to. */
  readonly gateway?: { readonly ip?: string; readonly hostname?: string; readonly resolved?: readonly string[] };
  /** Services of the namespace that have a selector; absent: not read. */
  readonly services?: readonly FoundService[];
  /** Objects of ours that exist, in full, for the diff. */
  readonly objects: readonly KubernetesObject[];
  /**
   * Sidecars, PeerAuthentications and AuthorizationPolicies that Meshlift did not make: of the namespace, and the last kind of
   * Istio's root namespace too; absent = none.
   */
  readonly policies?: readonly KubernetesObject[];
  /** Where policies hold for all namespaces; absent = the namespace of istiod. */
  readonly rootNamespace?: string;
}

/** A HostPolicy of the cluster's admin: hosts that machines of these namespaces may be. `*` is any namespace, credential or user. */
export interface HostPolicy {
  readonly name: string;
  readonly namespaces: readonly string[];
  readonly cidrs: readonly string[];
  /** Fingerprints, `SHA256:...`. */
  readonly hostKeys: readonly string[];
  readonly credentials: readonly string[];
  readonly users: readonly string[];
}

/** A machine of any namespace, and the host it was onboarded on. */
export interface KnownMachine {
  readonly namespace: string;
  readonly name: string;
  /** Fingerprint of its host key. */
  readonly hostKey?: string;
  /** Where SSH reaches it, as `hostPlace` writes it. */
  readonly hostPlace?: string;
}

export interface ClusterQuery {
  readonly namespace: string;
  readonly machine: string;
  readonly workloadGroup: string;
  /** Where the group does not exist yet. */
  readonly serviceAccount?: string;
  /** Revision or tag; absent = the mesh's default. */
  readonly revision?: string;
}

export interface FoundWorkloadEntry {
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** RFC 3339 from the annotation `istio.io/connectedAt`, absent while disconnected. */
  readonly connectedAt?: string;
  /** Pod name of the istiod that owns it, from `istio.io/workloadController`. */
  readonly controller?: string;
  /** Status of the condition `Healthy`, absent before the first report. */
  readonly healthy?: { readonly status: string; readonly lastProbeTime?: string; readonly message?: string };
}

/** Failure types: `ClusterUnreachable`, `ClusterConflict`, `ClusterForbidden`, `ObjectRejected`, `CredentialMissing`, `NamespaceMissing`. */
export interface ClusterPort {
  readFacts(query: ClusterQuery): Promise<ClusterFacts>;
  /** Server-side apply with field manager `meshlift`; says per object what happened. */
  apply(objects: readonly KubernetesObject[]): Promise<readonly AppliedObject[]>;
  /** Deletes what exists of these; an object that is gone already is not an error. Returns what it deleted. */
  remove(objects: readonly ObjectRef[]): Promise<readonly ObjectRef[]>;
  /** Names of machines that have objects of ours in this namespace's group, from the label `meshlift.dev/machine`. */
  listGroupMachines(namespace: string, workloadGroup: string): Promise<readonly string[]>;
  /** Every HostPolicy; none where the kind is not installed. */
  readHostPolicies(): Promise<readonly HostPolicy[]>;
  /** Machines that have objects of ours, in all namespaces. */
  listMachines(): Promise<readonly KnownMachine[]>;
  /** Whether a pod runs as this account, or a workload or WorkloadGroup names it. */
  isServiceAccountUsed(namespace: string, serviceAccount: string): Promise<boolean>;
  /** A token of the service account for audience `istio-ca` (TokenRequest). Never leaves the activity. */
  issueToken(
    namespace: string,
    serviceAccount: string,
    lifetimeSeconds: number,
  ): Promise<{ token: string; expiresAt: string }>;
  /** The WorkloadEntry that istiod registered for this group and address. */
  readWorkloadEntry(namespace: string, workloadGroup: string, address: string): Promise<FoundWorkloadEntry | undefined>;
  /** The WorkloadEntry that istiod registered for this group and the machine that its label names. */
  findWorkloadEntry(namespace: string, workloadGroup: string, machine: string): Promise<FoundWorkloadEntry | undefined>;
  /** Sets (or with null removes) one label of a WorkloadEntry in metadata and spec; false when the entry is gone. */
  labelWorkloadEntry(namespace: string, name: string, label: string, value: string | null): Promise<boolean>;
}

export interface AppliedObject {
  readonly ref: ObjectRef;
  readonly result: 'created' | 'changed' | 'unchanged';
}
