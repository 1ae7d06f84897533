/** Whether every client in the mesh has let go of a drained machine, from what each istiod says (protocols 2). */
import type { Traffic } from '../../activities/ports/host-port.ts';
import type { EndpointLook, ExpectedProxy, ProxyConnection, WatcherLook } from '../../activities/ports/mesh-port.ts';

/** When an istiod was seen to hold a label or an object, by its own clock. */
export interface Sighting {
  readonly istiodPod: string;
  readonly at: string;
}

/** When each istiod gave these answers. */
export const sightingsOf = (looks: readonly Sighting[]): readonly Sighting[] =>
  looks.map(({ istiodPod, at }) => ({ istiodPod, at }));

/** Every istiod holds this label on each of the machine's endpoints; undefined while one does not. */
export function seenDraining(looks: readonly EndpointLook[], value: string): readonly Sighting[] | undefined {
  const isSeen = looks.every(({ endpoints }) => endpoints.every(({ draining }) => draining === value));
  return isSeen ? sightingsOf(looks) : undefined;
}

/** Every istiod knows the same endpoints of the machine, and gives each of them out; none where no Service selects it. */
export function isGivenOutByAll(looks: readonly EndpointLook[]): boolean {
  const known = new Set(looks.map(({ endpoints }) => endpoints.length));
  return known.size <= 1 && looks.every(({ endpoints }) => endpoints.every(({ isOffered }) => isOffered));
}

export interface ProofInput {
  /** The machine's own proxy is no client of itself that could be late. */
  readonly machine: string;
  readonly expected: readonly ExpectedProxy[];
  readonly looks: readonly WatcherLook[];
  readonly seen: readonly Sighting[];
}

/** A proxy that may still send requests to the machine, and why nobody can say that it does not. */
export interface Unproven {
  readonly proxy: string;
  readonly why: string;
}

/** Empty when the proof is whole. */
export function unprovenClients({ machine, expected, looks, seen }: ProofInput): readonly Unproven[] {
  return clientsBehind({ machine, expected, looks }, (connection, istiodPod) =>
    whyNotYet(connection, seen.find((one) => one.istiodPod === istiodPod)?.at),
  );
}

/**
 * Clients that refuse endpoints, or do not ask for those of each of these subsets, at every port of the host that they know; empty when
 * the proof is whole. `areNew`: or have no listeners for them yet, as gateways between networks need. That is told by what was pushed
 * together, and so not of subsets that stand: of some changes istiod pushes clusters alone [a PeerAuthentication of the Service's
 * namespace, to clients of others; pilot/pkg/xds/cds.go, lds.go].
 */
export function clientsNotAsking({
  expected,
  looks,
  subsets,
  areNew,
}: Pick<ProofInput, 'expected' | 'looks'> & {
  readonly subsets: readonly string[];
  readonly areNew: boolean;
}): readonly Unproven[] {
  return clientsBehind({ machine: '', expected, looks }, ({ clusters, error, hasListenersOfClusters }) => {
    if (error !== undefined) return `refuses its endpoints: ${error}`;
    if (areNew && !hasListenersOfClusters) return 'has not acknowledged its clusters and listeners';
    const ports = clusters.filter(({ subset }) => subset === '').map(({ of }) => of);
    const missing = subsets.filter(
      (subset) => !ports.every((port) => clusters.some((one) => one.of === port && one.subset === subset)),
    );
    if (ports.length > 0 && missing.length === 0) return undefined;
    return `does not ask for endpoints of ${missing.length > 0 ? missing.join(', ') : 'the Service'} yet`;
  });
}

/** Of whom nobody knows what it asks for counts as a client of each subset. */
export function askingFor(looks: readonly WatcherLook[], subsets: readonly string[]): readonly WatcherLook[] {
  const isAsking = ({ isWatching, clusters }: ProxyConnection): boolean =>
    isWatching && (clusters.length === 0 || clusters.some(({ subset }) => subsets.includes(subset)));
  return looks.map((look) => ({
    ...look,
    connections: look.connections.map((connection) => ({ ...connection, isWatching: isAsking(connection) })),
  }));
}

function clientsBehind(
  { machine, expected, looks }: Omit<ProofInput, 'seen'>,
  whyBehind: (connection: ProxyConnection, istiodPod: string) => string | undefined,
): readonly Unproven[] {
  const connected = looks.flatMap(({ connections }) => connections);
  const ids = new Set(connected.map(({ proxy }) => proxy));
  const addresses = new Set(connected.flatMap((connection) => connection.addresses));
  const missing = expected.filter(
    (one) => one.proxy !== machine && !ids.has(one.proxy) && !one.addresses.some((address) => addresses.has(address)),
  );
  const late = looks.flatMap(({ istiodPod, connections }) => {
    return connections
      .filter(({ isWatching }) => isWatching)
      .flatMap((connection) => {
        const why = whyBehind(connection, istiodPod);
        return why === undefined ? [] : [{ proxy: connection.proxy, why: `${why} (${istiodPod})` }];
      });
  });
  return [...missing.map(({ proxy }) => ({ proxy, why: 'is connected to no istiod' })), ...late];
}

/** Times have whole seconds, and all one form: only a later second is later. */
function whyNotYet({ acknowledgedAt, error }: ProxyConnection, seenAt: string | undefined): string | undefined {
  if (seenAt === undefined) return 'is connected to an istiod that was not seen to hold the label';
  if (error !== undefined) return `refuses its endpoints: ${error}`;
  if (acknowledgedAt !== undefined && acknowledgedAt > seenAt) return undefined;
  return 'has not acknowledged that the endpoint is gone';
}

/** Istiods that pushed nothing to any watcher since they held the label: their answers prove nothing. */
export function silentIstiods({ looks, seen }: Pick<ProofInput, 'looks' | 'seen'>): readonly WatcherLook[] {
  return looks.filter(({ istiodPod, connections }) => {
    const at = seen.find((one) => one.istiodPod === istiodPod)?.at;
    const watching = connections.filter(({ isWatching }) => isWatching);
    const isLater = ({ sentAt }: ProxyConnection): boolean => at !== undefined && sentAt !== undefined && sentAt > at;
    return watching.length > 0 && !watching.some(isLater);
  });
}

/**
 * An acknowledgement comes before the client's worker threads have acted on it: nothing may come from the mesh any more. Plaintext
 * callers do not follow the label; where the proxy does not tell the two apart, senders with addresses of the mesh's proxies count.
 */
export function stoodStill(traffic: Traffic, meshAddresses: readonly string[]): boolean {
  if (traffic.came === 0) return true;
  if (traffic.cameOverMtls !== undefined) return traffic.cameOverMtls === 0;
  return !traffic.senders.some((address) => meshAddresses.includes(address));
}
