/** Activities on istiod's evidence. Each is a single look that throws while the evidence is missing: Temporal's retry is the wait. */
import { failure } from './failures.ts';
import {
  isGivenOutByAll,
  type Sighting,
  seenDraining,
  silentIstiods,
  unprovenClients,
} from '../workflows/plan/drain-proof.ts';
import type { ConnectedProxy, EndpointQuery, MeshPort, Neighbours, ProxyQuery } from './ports/mesh-port.ts';

export interface MeshActivities {
  /**
   * Throws `ProxyNotConnected` until exactly one istiod of the revision serves the proxy in this version and everything sent is
   * acknowledged, `ConfigRejected` while the proxy refuses some of it.
   */
  verifyConnected(input: ProxyQuery & { revision: string; version: string }): Promise<ConnectedProxy>;
  /** Who else is in the mesh, and which namespaces refuse callers. */
  readNeighbours(): Promise<Neighbours>;
  /** Throws `EndpointGivenOut` until no istiod tells clients of the machine any more. */
  verifyNotGivenOut(input: EndpointQuery): Promise<void>;
  /** Throws `EndpointGivenOut` until every istiod holds this label on the machine's endpoints. */
  verifyLabelSeen(input: EndpointQuery & { value: string }): Promise<LabelSeen>;
  /**
   * Throws `DrainUnproven` until every proxy of the mesh is connected and has acknowledged endpoints that were pushed after the
   * label was seen, `EvidenceUnavailable` while an istiod pushes nothing.
   */
  verifyAcknowledged(input: ProofQuery): Promise<{ readonly meshAddresses: readonly string[] }>;
  /** Throws `EndpointNotGivenOut` until every istiod tells clients of the machine again. */
  verifyGivenOut(input: EndpointQuery): Promise<void>;
}

interface LabelSeen {
  /** The Services that hold the machine. */
  readonly hosts: readonly string[];
  readonly seen: readonly Sighting[];
}

interface ProofQuery {
  readonly namespace: string;
  readonly machine: string;
  readonly hosts: readonly string[];
  readonly seen: readonly Sighting[];
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
    readNeighbours: () => mesh.readNeighbours(),
    async verifyNotGivenOut(endpoint) {
      if (!(await mesh.isEndpointGivenOut(endpoint))) return;
      const { namespace, machine, address } = endpoint;
      throw failure(
        'EndpointGivenOut',
        `Endpoint ${address} of machine ${namespace}/${machine} is still given to clients; it goes once its WorkloadEntry drains or is gone`,
      );
    },
    async verifyLabelSeen({ value, ...endpoint }) {
      const looks = await mesh.readEndpoints(endpoint);
      const seen = seenDraining(looks, value);
      const { namespace, machine, address } = endpoint;
      if (seen === undefined) {
        throw failure(
          'EndpointGivenOut',
          `Not every istiod holds endpoint ${address} of machine ${namespace}/${machine} as draining by ${value}; it does once its WorkloadEntry was read`,
        );
      }
      return { hosts: [...new Set(looks.flatMap(({ endpoints }) => endpoints.map(({ host }) => host)))].sort(), seen };
    },
    async verifyAcknowledged({ namespace, machine, hosts, seen }) {
      const [expected, looks] = await Promise.all([mesh.listExpectedProxies(), mesh.readWatchers(hosts)]);
      const unproven = unprovenClients({ machine: `${machine}.${namespace}`, expected, looks, seen });
      if (unproven.length === 0) {
        const watching = looks.flatMap(({ connections }) => connections.filter(({ isWatching }) => isWatching));
        return { meshAddresses: [...new Set(watching.flatMap(({ addresses }) => addresses))] };
      }
      const [silent] = silentIstiods({ looks, seen });
      if (silent !== undefined) {
        throw failure(
          'EvidenceUnavailable',
          `istiod ${silent.istiodPod} (${silent.version}) has pushed no endpoints since ${namespace}/${machine} drains; what its clients hold cannot be told`,
        );
      }
      const told = unproven.map(({ proxy, why }) => `${proxy} ${why}`);
      const more = told.length > NAMED ? `, and ${told.length - NAMED} more` : '';
      throw failure(
        'DrainUnproven',
        `Nobody can say that these send nothing to ${namespace}/${machine} any more: ${told.slice(0, NAMED).join('; ')}${more}; see istioctl proxy-status`,
      );
    },
    async verifyGivenOut(endpoint) {
      if (isGivenOutByAll(await mesh.readEndpoints(endpoint))) return;
      const { namespace, machine, address } = endpoint;
      throw failure(
        'EndpointNotGivenOut',
        `Not every istiod gives endpoint ${address} of machine ${namespace}/${machine} to clients again; check that a Service selects it and that it is healthy`,
      );
    },
  };
}

/** So many proxies are named in a message. */
const NAMED = 10;
