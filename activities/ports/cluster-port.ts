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
  /** Address of Service `istio-eastwestgateway`: an IP, or a DNS name with the IPs it resolved to. */
  readonly gateway?: { readonly ip?: string; readonly hostname?: string; readonly resolved?: readonly string[] };
  /** Objects of ours that exist, in full, for the diff. */
  readonly objects: readonly KubernetesObject[];
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
  /** Sets (or with null removes) one label of a WorkloadEntry in metadata and spec; false when the entry is gone. */
  labelWorkloadEntry(namespace: string, name: string, label: string, value: string | null): Promise<boolean>;
}

export interface AppliedObject {
  readonly ref: ObjectRef;
  readonly result: 'created' | 'changed' | 'unchanged';
}
