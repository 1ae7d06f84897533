/** What a migration reads of a Service, its machines and its pods, and the little it does to them. Plain data only. */
import type { ServiceLike } from '../render/service-sides.ts';
import type { FoundService, FoundWorkloadGroup, KubernetesObject, ObjectRef } from './cluster-port.ts';

export interface CutoverQuery {
  readonly namespace: string;
  readonly workloadGroup: string;
  readonly service: string;
  readonly deployment: string;
  /** Whose objects are its own. */
  readonly migration: string;
  /** Services are to be made for the sides; default: none. */
  readonly bySelector?: boolean;
  /** What the Deployment is to be made of, as it would be applied; absent: it is there. */
  readonly manifests?: readonly KubernetesObject[];
  readonly gatewayRoutes?: readonly Omit<GatewayRoute, 'destinations' | 'gitOps' | 'isOfMesh'>[];
}

/** An endpoint on a machine: a WorkloadEntry of the group. */
export interface FoundEntry {
  readonly name: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Absent before the first report, or without a probe. */
  readonly isHealthy?: boolean;
}

export interface FoundDeployment {
  readonly replicas: number;
  readonly readyReplicas: number;
  /** Tools that own it, e.g. `Argo CD`; they would put back what a migration changes. */
  readonly gitOps: readonly string[];
  /** Of the pods. */
  readonly labels: Readonly<Record<string, string>>;
  readonly isInjected: boolean;
  readonly serviceAccount: string;
  readonly containers: readonly {
    readonly name: string;
    readonly image: string;
    readonly ports: readonly { readonly name?: string; readonly port: number }[];
    readonly hasReadinessProbe: boolean;
  }[];
  /** Of one pod, by its template. */
  readonly needs?: PodNeeds;
}

/** What a container asks for, as a ResourceQuota names it. CPU is in millicores, memory in bytes. */
export type PodAmount = 'requests.cpu' | 'requests.memory' | 'limits.cpu' | 'limits.memory';

export interface PodNeeds {
  readonly amounts: Readonly<Record<PodAmount, number>>;
  /** Those that some container does not say. */
  readonly unstated: readonly PodAmount[];
}

/** What a ResourceQuota leaves of a resource. */
export interface FoundQuota {
  readonly name: string;
  readonly resource: PodAmount | 'pods';
  readonly free: number;
}

/** Of the nodes that may run pods of the Deployment: ready, not cordoned, by its nodeSelector and tolerations. */
export interface FoundNodes {
  readonly count: number;
  /** How many pods they have room for beside those that are there, by requests of CPU and memory; 1000 where there are more. */
  readonly podsThatFit: number;
  /** Of each container, init containers too. */
  readonly images: readonly FoundImage[];
}

export interface FoundImage {
  readonly image: string;
  readonly pullPolicy: string;
  /** How many nodes list it. */
  readonly onNodes: number;
  /** How many do not, and list as many images as a kubelet reports at the most. */
  readonly maybeOnNodes: number;
}

/** Where an HTTP route sends a share of its requests, as the VirtualService says it. */
export interface RouteDestination {
  readonly destination: {
    readonly host: string;
    readonly subset?: string;
    readonly port?: { readonly number: number };
  };
  readonly weight?: number;
}

/** A route of somebody's VirtualService that a migration may lead. */
export interface GatewayRoute {
  readonly namespace: string;
  readonly virtualService: string;
  readonly route: string;
  /** Tools that own the VirtualService. */
  readonly gitOps?: readonly string[];
  /** Sidecars follow the VirtualService too, as it names gateway `mesh` or none [VirtualService.gateways]. */
  readonly isOfMesh?: true;
  /** Before the migration. */
  readonly destinations: readonly RouteDestination[];
}

/** An object that says where traffic for the Service goes. */
export interface FoundRoute {
  readonly ref: ObjectRef;
  /** It names the Service by a wildcard alone, e.g. `*.local`. */
  readonly isWildcard?: true;
  /** The migration that made it; absent: others did. */
  readonly migration?: string;
  /** Tools that own it. */
  readonly gitOps?: readonly string[];
  /** Field manager of the last write. */
  readonly lastEditor?: string;
  /** Sidecars follow it for the Service's own name: beside it there is no second one. */
  readonly isOfMesh?: true;
}

/** An object that a migration brings along. */
export interface FoundManifest {
  readonly ref: ObjectRef;
  readonly isThere: boolean;
  /** It is there, and applying it would change nothing of it. */
  readonly isSame?: boolean;
  /** The migration that made it. */
  readonly migration?: string;
  /** Why the API server does not take it (`ObjectRejected`, `ClusterForbidden`); absent where it does, or was not asked. */
  readonly fault?: { readonly type: string; readonly message: string };
}

export interface HandOver {
  readonly ref: ObjectRef;
  readonly migration: string;
  /** As their owner wrote them; null where there was none. */
  readonly labels: Readonly<Record<string, string | null>>;
}

export interface CutoverFacts {
  /** Fully qualified name of the Service. */
  readonly host: string;
  readonly service?: FoundService & {
    readonly isHeadless: boolean;
    /** It only gives another host a name. */
    readonly isExternal?: true;
    /** The migration that has its selector now; the one told here is as its owner wrote it. */
    readonly heldBy?: string;
    /** Tools that own it. */
    readonly gitOps?: readonly string[];
    /** What a second Service would say of the same ports. */
    readonly like: ServiceLike;
  };
  /** With `guard: selector`: the Services that it makes. */
  readonly sideServices?: readonly FoundManifest[];
  /** Every other Service of the namespace that selects something. */
  readonly otherServices: readonly { readonly name: string; readonly selector: Readonly<Record<string, string>> }[];
  readonly group?: FoundWorkloadGroup;
  readonly entries: readonly FoundEntry[];
  /** As it stands, or as the API server would make it of its manifest. */
  readonly deployment?: FoundDeployment;
  readonly manifests?: readonly FoundManifest[];
  /** VirtualServices, DestinationRules and HTTPRoutes that name the Service. */
  readonly routes: readonly FoundRoute[];
  /** Those that were asked for and are there. */
  readonly gatewayRoutes: readonly GatewayRoute[];
  /**
   * Sidecars, PeerAuthentications and AuthorizationPolicies of the namespace that Meshlift did not make, and the last two of the root
   * namespace.
   */
  readonly policies: readonly KubernetesObject[];
  /** PeerAuthentications and AuthorizationPolicies of the namespace that Meshlift made for machines. */
  readonly ownPolicies?: readonly KubernetesObject[];
  /** Whose policies hold for the whole mesh. */
  readonly rootNamespace?: string;
  /** Objects of this migration as they stand. */
  readonly objects: readonly KubernetesObject[];
  /** Of ResourceQuotas that pods of the Deployment count for. */
  readonly quotas?: readonly FoundQuota[];
  /** Absent without a Deployment, and where they may not be read. */
  readonly nodes?: FoundNodes;
  readonly nodesUnread?: boolean;
}

export interface OwnedObject {
  readonly spec?: unknown;
  /** Field manager of the last write. */
  readonly lastEditor?: string;
}

export interface FoundPod {
  readonly name: string;
  readonly address?: string;
  readonly isReady: boolean;
  readonly isEnding: boolean;
  /** Why a container waits, e.g. `ImagePullBackOff: ...`. */
  readonly waiting: readonly string[];
}

export interface Selection {
  readonly namespace: string;
  readonly service: string;
  readonly migration: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly push: string;
}

export interface PodsQuery {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface EntriesQuery {
  readonly namespace: string;
  readonly workloadGroup: string;
}

/** Failure types: those of the ClusterPort, and `RouteMissing`. */
export interface CutoverPort {
  readFacts(query: CutoverQuery): Promise<CutoverFacts>;
  /** VirtualServices, DestinationRules and HTTPRoutes that name the Service of this fully qualified name, in every namespace. */
  listRoutes(host: string): Promise<readonly FoundRoute[]>;
  /** An object as it stands, and who wrote it last; undefined where it is gone. */
  readOwned(ref: ObjectRef): Promise<OwnedObject | undefined>;
  /** Sets the replicas of a Deployment; returns how many it asked for before. */
  scale(namespace: string, deployment: string, replicas: number): Promise<number>;
  /**
   * Sets the destinations of one named HTTP route of somebody's VirtualService, and leaves everything else as it is. `push` is the
   * annotation that makes istiod push; null takes it away, also where the route is gone, and Meshlift from the object's field managers:
   * the owner's next server-side apply meets no conflict.
   */
  editRoute(route: GatewayRoute, push: string | null): Promise<void>;
  /** Applies an object that carries the label of its migration. Failure type `ObjectExists`: there is one that is not the migration's. */
  make(manifest: KubernetesObject): Promise<void>;
  /** Removes what the migration made; what is gone, or somebody else's, is left alone. */
  unmake(ref: ObjectRef, migration: string): Promise<void>;
  /**
   * Takes the marks of a migration off an object that it made, with every field manager, so that its owner's next apply meets no
   * conflict with Meshlift. One that is gone, or is not the migration's any more, is left alone.
   */
  handOver(handOver: HandOver): Promise<void>;
  /**
   * Sets what a Service selects, and keeps in an annotation what its owner wrote; `push` is the label that makes istiod push. Failure
   * type `ObjectExists`: another migration has it. False where there is none.
   */
  selectEndpoints(selection: Selection): Promise<boolean>;
  /** The Service as its owner wrote it, field managers included. One that is gone, or that the migration does not have, is left alone. */
  restoreSelector(selection: Pick<Selection, 'namespace' | 'service' | 'migration'>): Promise<void>;
  listPods(query: PodsQuery): Promise<readonly FoundPod[]>;
  /** The endpoints that machines of a group have registered. */
  listEntries(query: EntriesQuery): Promise<readonly FoundEntry[]>;
  /** The metrics of the pod's proxy, in Prometheus' text form, through the API server. */
  readProxyMetrics(namespace: string, pod: string): Promise<string>;
}
