/** What each istiod says of the proxies, read through the API server's port-forward (protocols 2). Plain data only. */

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

/** Failure types: `EvidenceUnavailable` (an istiod that cannot be read means no proof), `ClusterUnreachable`. */
export interface MeshPort {
  /** Every istiod's answer for one proxy; empty when it is connected to none. */
  readProxy(query: ProxyQuery): Promise<readonly ConnectedProxy[]>;
  /** Whether any istiod still gives the machine's endpoint out (`/debug/endpointShardz`), a draining one left out. */
  isEndpointGivenOut(endpoint: EndpointQuery): Promise<boolean>;
}
