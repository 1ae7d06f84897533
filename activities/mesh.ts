/** Activities on istiod's evidence. Each is a single look that throws while the evidence is missing: Temporal's retry is the wait. */
import { failure } from './failures.ts';
import type { ConnectedProxy, EndpointQuery, MeshPort, ProxyQuery } from './ports/mesh-port.ts';

export interface MeshActivities {
  /**
   * Throws `ProxyNotConnected` until exactly one istiod of the revision serves the proxy in this version and everything sent is
   * acknowledged, `ConfigRejected` while the proxy refuses some of it.
   */
  verifyConnected(input: ProxyQuery & { revision: string; version: string }): Promise<ConnectedProxy>;
  /** Throws `EndpointGivenOut` until no istiod tells clients of the machine any more. */
  verifyNotGivenOut(input: EndpointQuery): Promise<void>;
}

export function meshActivities({ mesh }: { readonly mesh: MeshPort }): MeshActivities {
  return {
    async verifyConnected({ namespace, name, revision, version }) {
      const id = `${name}.${namespace}`;
      const [proxy, ...others] = await mesh.readProxy({ namespace, name });
      const waiting = (why: string): Error =>
        failure('ProxyNotConnected', `Proxy ${id} ${why}; see /var/log/istio/istio.log on the machine`);
      if (proxy === undefined) throw waiting(`is connected to no istiod, expected one of revision ${revision}`);
      if (others.length > 0) throw waiting(`is connected ${others.length + 1} times; one machine has one proxy`);
      if (proxy.revision !== revision) throw waiting(`is connected to revision ${proxy.revision}, not to ${revision}`);
      if (proxy.version !== version) throw waiting(`runs version ${proxy.version}, not ${version}`);
      if (proxy.rejected.length > 0) {
        throw failure(
          'ConfigRejected',
          `Proxy ${id} rejects configuration: ${proxy.rejected.join('; ')}; correct the object that it comes from`,
        );
      }
      if (proxy.unacknowledged.length > 0) throw waiting(`has not acknowledged ${proxy.unacknowledged.join(', ')}`);
      return proxy;
    },
    async verifyNotGivenOut(endpoint) {
      if (!(await mesh.isEndpointGivenOut(endpoint))) return;
      const { namespace, machine, address } = endpoint;
      throw failure(
        'EndpointGivenOut',
        `Endpoint ${address} of machine ${namespace}/${machine} is still given to clients; it goes once its WorkloadEntry drains or is gone`,
      );
    },
  };
}
