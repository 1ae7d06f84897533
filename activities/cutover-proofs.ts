/**
 * Activities that prove that istiod and the clients have taken what a migration wrote: single looks that throw while the evidence is
 * missing, as Temporal's retry is the wait.
 */
import {
  askingFor,
  clientsNotAsking,
  type Sighting,
  sightingsOf,
  silentIstiods,
  type Unproven,
  unprovenClients,
} from '../workflows/plan/drain-proof.ts';
import { failure } from './failures.ts';
import type { ObjectRef } from './ports/cluster-port.ts';
import type { MeshPort, PushType } from './ports/mesh-port.ts';
import { guardMessage } from './render/guard-message.ts';
import { readHeldBy } from './timed-write.ts';

/** So many are named in a message. */
const NAMED = 10;

export function cutoverProofActivities({ mesh }: { readonly mesh: MeshPort }) {
  return {
    /** Throws `RouteNotHeld` until every istiod holds the object as it was last written (`null`: holds none). */
    async verifyHeld({
      refs,
      push,
    }: {
      refs: readonly ObjectRef[];
      push: string | null;
    }): Promise<readonly Sighting[]> {
      const { seen, late } = await readHeldBy(mesh, { refs, push });
      if (late.length === 0) return seen;
      const pods = late.map(({ istiodPod }) => istiodPod).join(', ');
      const what = refs.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`).join(', ');
      throw failure(
        'RouteNotHeld',
        push === null
          ? `${pods} still holds ${what}, which was removed; see its log`
          : `${pods} does not hold ${what} as it was written; see its log, and whether somebody else writes it`,
      );
    },

    /**
     * Throws `RouteUnacknowledged` until every proxy of the mesh is connected and each client of the host has acknowledged pushes of
     * these types that are later than what was seen, `EvidenceUnavailable` while an istiod pushes nothing. `subsets`: endpoints are
     * pushed to those alone that ask for some of these, which a DestinationRule of their own namespace may keep them from; absent: to all.
     */
    async verifyPushed(input: {
      host: string;
      types: readonly PushType[];
      subsets?: readonly string[];
      seen: readonly Sighting[];
    }): Promise<void> {
      const { host, types, subsets, seen } = input;
      const expected = await mesh.listExpectedProxies();
      for (const type of types) {
        const watchers = await mesh.readWatchers([host], type);
        const looks = type === 'eds' && subsets !== undefined ? askingFor(watchers, subsets) : watchers;
        const [silent] = silentIstiods({ looks, seen });
        if (silent !== undefined) {
          throw failure(
            'EvidenceUnavailable',
            `istiod ${silent.istiodPod} (version ${silent.version}) has pushed no ${type} since ${host} was routed anew; see its log`,
          );
        }
        refuseUnproven(`its new ${type}`, host, unprovenClients({ machine: '', expected, looks, seen }));
      }
    },

    /** Clients of the host that ask for the endpoints of one of these subsets. */
    async readAsking({ host, subsets }: { host: string; subsets: readonly string[] }): Promise<readonly string[]> {
      const connections = (await mesh.readWatchers([host])).flatMap((look) => look.connections);
      return connections
        .filter(({ clusters }) => clusters.some(({ subset }) => subsets.includes(subset)))
        .map(({ proxy }) => proxy);
    },

    /**
     * Throws `RouteUnacknowledged` until every proxy of the mesh is connected and each client of the host asks for the endpoints of these
     * subsets, and refuses none. It has their clusters then. `areNew`: none had asked for them before, so it has all that was written of
     * them: istiod answers what a connection asks for before it pushes it anything later, as one goroutine handles both
     * [pilot/pkg/xds/ads.go, delta.go]; it has listeners for them as well.
     */
    async verifyAsked(input: { host: string; subsets: readonly string[]; areNew: boolean }): Promise<void> {
      const { host, ...asked } = input;
      const [expected, looks] = await Promise.all([mesh.listExpectedProxies(), mesh.readWatchers([host])]);
      refuseUnproven('its subsets', host, clientsNotAsking({ expected, looks, ...asked }));
    },

    /** Throws `GuardIncomplete` while a proxy may send to the Service without asking for one of its sides. */
    async verifyGuarded({ host, ports: numbers }: { host: string; ports: readonly number[] }): Promise<void> {
      const unguarded = await mesh.readUnguarded(host, numbers);
      if (unguarded.length > 0) throw failure('GuardIncomplete', guardMessage(host, unguarded));
    },

    /** Throws `EndpointNotGivenOut` until every istiod gives these addresses to clients of the host. */
    async verifyOffered(input: { host: string; addresses: readonly string[] }): Promise<readonly Sighting[]> {
      const looks = await mesh.readOffered(input.host);
      for (const { istiodPod, endpoints } of looks) {
        const missing = input.addresses.filter((address) => !endpoints.some((one) => one.address === address));
        if (missing.length === 0) continue;
        throw failure(
          'EndpointNotGivenOut',
          `${istiodPod} does not give ${missing.join(', ')} to clients of ${input.host}; check that the pods are ready and that the Service selects them`,
        );
      }
      return sightingsOf(looks);
    },
  };
}

function refuseUnproven(what: string, host: string, unproven: readonly Unproven[]): void {
  if (unproven.length === 0) return;
  const named = unproven.slice(0, NAMED).map(({ proxy, why }) => `${proxy} ${why}`);
  const more = unproven.length > NAMED ? ` and ${unproven.length - NAMED} more` : '';
  throw failure(
    'RouteUnacknowledged',
    `Not every client of ${host} has taken ${what}: ${named.join('; ')}${more}; see istioctl proxy-status`,
  );
}
