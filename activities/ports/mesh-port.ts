/** What each istiod says of the proxies, read through the API server's port-forward (protocols 2). Plain data only. */

export interface ProxyQuery {
  readonly namespace: string;
  /** `hostname -s` of the machine: the proxy's id is `<name>.<namespace>`. */
  readonly name: string;
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
  /** Whether any istiod still gives this address out as an endpoint (`/debug/endpointShardz`), draining ones left out. */
  isEndpointGivenOut(namespace: string, address: string): Promise<boolean>;
}
