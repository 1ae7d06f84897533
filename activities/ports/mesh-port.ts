/** What each istiod says of the proxies, read through the API server's port-forward (protocols 2). Plain data only. */
import type { ObjectRef } from './cluster-port.ts';

export interface ProxyQuery {
  readonly namespace: string;
  /** `hostname -s` of the machine: the proxy's id is `<name>.<namespace>`. */
  readonly name: string;
}

/** The endpoint that a machine registered; others may have made some of the same address. */
export interface EndpointQuery {
  readonly namespace: string;
  /** Value of the endpoint's label `meshlift.dev/machine`. */
  readonly machine: string;
  readonly address: string;
}

export type MachineQuery = Pick<EndpointQuery, 'namespace' | 'machine'>;

/** A proxy as one istiod knows it, from `/debug/syncz`. */
export interface ConnectedProxy {
  readonly istiodPod: string;
  readonly revision: string;
  /** Version the proxy reports of itself. */
  readonly version: string;
  /** Types (cds, lds, rds, eds) whose last push is not acknowledged. */
  readonly unacknowledged: readonly string[];
  /** Rejections, `type: message`; empty when every configuration was accepted. */
  readonly rejected: readonly string[];
}

/** An endpoint of a Service, as every istiod agrees on it. */
export interface ServiceEndpoint {
  readonly address: string;
  /** Value of the label `meshlift.dev/machine`; absent for pods and for machines of others. */
  readonly machine?: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Every istiod gives it to clients. */
  readonly isOffered: boolean;
}

/** A Service that selects the machine, with all its endpoints. */
export interface MachineService {
  /** Fully qualified, e.g. `orders.shop.svc.cluster.local`. */
  readonly host: string;
  readonly endpoints: readonly ServiceEndpoint[];
}

/** What one istiod holds of the machine's own endpoints. */
export interface EndpointLook {
  readonly istiodPod: string;
  /** `Date` of the reply, by that istiod's clock: whole seconds, as `Date.toISOString` writes them. */
  readonly at: string;
  readonly endpoints: readonly {
    readonly host: string;
    /** Value of the label `istio.io/draining`; absent where it is not set. */
    readonly draining?: string;
    /** Clients are told of it. */
    readonly isOffered: boolean;
  }[];
}

/** A port of a host, or of a subset of it, as a client has it. */
export interface AskedCluster {
  /** As istiod names the one of the whole host, e.g. `outbound|80||orders.shop.svc.cluster.local`. */
  readonly of: string;
  /** Empty: the whole host. */
  readonly subset: string;
}

/** A proxy's connection to one istiod. */
export interface ProxyConnection {
  /** `<name>.<namespace>`. */
  readonly proxy: string;
  readonly addresses: readonly string[];
  /** It asks for the endpoints of one of the hosts, and for what is looked for. */
  readonly isWatching: boolean;
  /** Clusters of the hosts whose endpoints it asks for. */
  readonly clusters: readonly AskedCluster[];
  /** It has acknowledged the clusters that it was sent last, and listeners of the same push or a later one. */
  readonly hasListenersOfClusters: boolean;
  /** When the push began of what was sent last, in the same form; absent where nothing was. */
  readonly sentAt?: string;
  /** The same of the last one that it acknowledged. */
  readonly acknowledgedAt?: string;
  /** Why it refused the last one. */
  readonly error?: string;
}

/** What istiod pushes: clusters, listeners, routes, endpoints. */
export type PushType = 'cds' | 'lds' | 'rds' | 'eds';

/** The endpoints that one istiod gives to clients of a host. */
export interface OfferedLook {
  readonly istiodPod: string;
  /** `Date` of the reply, by that istiod's clock. */
  readonly at: string;
  readonly endpoints: readonly { readonly address: string; readonly labels: Readonly<Record<string, string>> }[];
}

/** What one istiod holds of an object. */
export interface HeldLook {
  readonly istiodPod: string;
  /** `Date` of the reply, by that istiod's clock. */
  readonly at: string;
  /** Its annotations; of a Service its labels. Absent where it holds none of that name. */
  readonly marks?: Readonly<Record<string, string>>;
}

/** A proxy that sends traffic for the Service past its subsets. */
export interface UnguardedProxy {
  readonly proxy: string;
  /** The route or listener by which it does, as Envoy names it, e.g. `http.8080/orders`. */
  readonly route: string;
  /** Kind, namespace and name of what that was made of; absent of istiod's default routes, and of what an EnvoyFilter adds. */
  readonly object?: string;
}

export interface WatcherLook {
  readonly istiodPod: string;
  readonly version: string;
  readonly connections: readonly ProxyConnection[];
}

/** A proxy that has to be connected: a running pod with one, a gateway, or a registered machine. */
export interface ExpectedProxy {
  /** What it is called in messages: `<name>.<namespace>`, or its WorkloadEntry. */
  readonly proxy: string;
  readonly addresses: readonly string[];
}

/** An AuthorizationPolicy, as far as it says who is guarded. */
interface FoundAuthorization {
  readonly namespace: string;
  readonly name: string;
  /** It allows some callers of every workload of its namespace, and so refuses all others. */
  readonly isOfAll: boolean;
}

/** Who else is in the mesh, and which namespaces refuse callers. */
export interface Neighbours {
  readonly proxies: readonly ExpectedProxy[];
  readonly policies: readonly FoundAuthorization[];
  /** Policies there hold for every namespace. */
  readonly rootNamespace: string;
}

/** Where routes of a namespace send traffic, and what the subsets they name select. */
export interface Routes {
  readonly destinations: readonly { readonly host: string; readonly subset?: string; readonly weight: number }[];
  readonly subsets: readonly {
    readonly host: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    /** A migration may send all traffic back to it at any time, whatever its weight is now. */
    readonly isKept?: boolean;
  }[];
}

/** Failure types: `EvidenceUnavailable` (an istiod that cannot be read means no proof), `ClusterUnreachable`. */
export interface MeshPort {
  /** Every istiod's answer for one proxy; empty when it is connected to none. */
  readProxy(query: ProxyQuery): Promise<readonly ConnectedProxy[]>;
  /** Whether any istiod still gives the machine's endpoint out (`/debug/endpointShardz`), a draining one left out. */
  isEndpointGivenOut(endpoint: EndpointQuery): Promise<boolean>;
  /** The Services that select the machine, an endpoint counting as offered where every istiod offers it. */
  readServices(machine: MachineQuery): Promise<readonly MachineService[]>;
  /** Every istiod's look at the machine's own endpoints. */
  readEndpoints(endpoint: EndpointQuery): Promise<readonly EndpointLook[]>;
  /** Every istiod's connections, and what each has acknowledged; of endpoints unless told otherwise. */
  readWatchers(hosts: readonly string[], type?: PushType): Promise<readonly WatcherLook[]>;
  /** What every istiod gives out for the host. */
  readOffered(host: string): Promise<readonly OfferedLook[]>;
  /** What every istiod holds of the object. `since`: asked for no earlier, in ms of the worker's clock; default: at most a second old. */
  readHeld(ref: ObjectRef, since?: number): Promise<readonly HeldLook[]>;
  /** Has a connection to every istiod ready: a look that follows within seconds takes no longer than its answer. */
  meetIstiods(): Promise<void>;
  /** Proxies that may send to these ports of the host without asking for a subset (`/debug/config_dump`). */
  readUnguarded(host: string, ports: readonly number[]): Promise<readonly UnguardedProxy[]>;
  /** Every proxy of the mesh that has to be connected to some istiod. */
  listExpectedProxies(): Promise<readonly ExpectedProxy[]>;
  readRoutes(namespace: string): Promise<Routes>;
  /** The proxies of the mesh, and the AuthorizationPolicies that istiod holds. */
  readNeighbours(): Promise<Neighbours>;
}
