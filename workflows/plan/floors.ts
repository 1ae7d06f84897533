/** Who may be taken out of service now, so that no Service falls below its floor. */
import type { MachineService, Routes, ServiceEndpoint } from '../../activities/ports/mesh-port.ts';

/** The right to take one machine out of service, held by an operation for as long as that runs. */
export interface Lease {
  readonly operationId: string;
  readonly machine: string;
  /** Services that count the machine. */
  readonly hosts: readonly string[];
}

export interface LeaseRequest {
  readonly operationId: string;
  readonly machine: string;
  /** The Service may fall below its floor, as long as no other operation takes endpoints of it. */
  readonly allowDisruption: boolean;
  /** A migration has moved its traffic for good, and lets it leave; default false. */
  readonly isReplaced?: boolean;
}

export interface FloorFacts {
  /** Services that select the machine. */
  readonly services: readonly MachineService[];
  readonly routes: Routes;
  /** By machine; absent where nobody asked for one. */
  readonly floors: Readonly<Record<string, number>>;
  /** Of the operations that hold leases, those that run no more. */
  readonly closed: readonly string[];
}

export type LeaseVerdict =
  | {
      readonly kind: 'Granted';
      /** Services that fall below their floor by this, and say so. */
      readonly disrupts: readonly string[];
    }
  /** It may come true by waiting. */
  | { readonly kind: 'Held'; readonly message: string; readonly holders: readonly string[] }
  /** Only a planned disruption can do it. */
  | { readonly kind: 'SoleEndpoint'; readonly message: string };

const DEFAULT_FLOOR = 1;

/** What one Service says to the request. */
interface Count {
  readonly host: string;
  /** Endpoints beside the machine that are given out and stay. */
  readonly others: number;
  /** Endpoints beside the machine, drained and unhealthy ones too: they may come back. */
  readonly known: number;
  readonly floor: number;
  /** Leases on other endpoints of the Service. */
  readonly leases: readonly Lease[];
}

/** Verdict and the leases that stand after it. An operation that holds its lease already is judged anew by the same rules. */
export function decideLease(
  leases: readonly Lease[],
  request: LeaseRequest,
  facts: FloorFacts,
): { readonly verdict: LeaseVerdict; readonly leases: readonly Lease[] } {
  const live = leases.filter(({ operationId }) => !facts.closed.includes(operationId));
  const own = live.find(({ operationId }) => operationId === request.operationId);
  const others = live.filter((lease) => lease !== own);
  const counts = facts.services.flatMap((service) => countsOf(service, request, facts, own, others));
  const below = counts.filter((count) => count.others < count.floor);
  const held = below.filter((count) => count.leases.length > 0);
  const waiting = held.length > 0 ? held : request.allowDisruption ? [] : below.filter((count) => count.known > 0);
  if (waiting.length > 0) {
    const holders = [...new Set(waiting.flatMap((count) => count.leases.map(({ operationId }) => operationId)))];
    return { verdict: { kind: 'Held', message: waiting.map(describe).join('; '), holders }, leases: live };
  }
  if (below.length > 0 && !request.allowDisruption) {
    const hosts = below.map(({ host }) => host).join(', ');
    const message = `${request.machine} is the only endpoint of ${hosts}; bring another one up, or allow the disruption with allowDisruption: true`;
    return { verdict: { kind: 'SoleEndpoint', message }, leases: live };
  }
  const { operationId, machine } = request;
  const hostsOf = (some: readonly Count[]): string[] => [...new Set(some.map(({ host }) => host))];
  const granted = { operationId, machine, hosts: hostsOf(counts) };
  return {
    verdict: { kind: 'Granted', disrupts: hostsOf(below) },
    leases: [...others, granted],
  };
}

/** Nothing where the Service loses nothing: its routes send the machine no traffic, or it is given to nobody already. */
function countsOf(
  service: MachineService,
  { machine, isReplaced = false }: LeaseRequest,
  { routes, floors }: FloorFacts,
  own: Lease | undefined,
  others: readonly Lease[],
): readonly Count[] {
  if (own !== undefined && !own.hosts.includes(service.host)) return [];
  const counted = countingEndpoints(service, routes, isReplaced);
  const holding = counted.filter((endpoints) =>
    endpoints.some((endpoint) => endpoint.machine === machine && (own !== undefined || endpoint.isOffered)),
  );
  // Whoever has its lease may be listed no more.
  const groups = own !== undefined && holding.length === 0 ? counted : holding;
  return groups.map((counting) => {
    const leases = others.filter((lease) => counting.some((endpoint) => endpoint.machine === lease.machine));
    const leased = new Set(leases.map((lease) => lease.machine));
    const stay = counting.filter(
      (endpoint) =>
        endpoint.isOffered &&
        endpoint.machine !== machine &&
        (endpoint.machine === undefined || !leased.has(endpoint.machine)),
    );
    const known = counting.filter((endpoint) => endpoint.machine !== machine).length;
    return { host: service.host, others: stay.length, known, floor: floorOf(service, floors), leases };
  });
}

/** The highest that one of its machines asks for. */
function floorOf({ endpoints }: MachineService, floors: FloorFacts['floors']): number {
  const machines = endpoints.flatMap(({ machine }) => (machine === undefined ? [] : [machine]));
  return Math.max(0, ...machines.map((machine) => floors[machine] ?? DEFAULT_FLOOR));
}

/**
 * Where routes name subsets, the endpoints of each that gets traffic, since none stands in for another; else all together. Machines
 * that a migration may need again count until it lets them leave.
 */
function countingEndpoints(
  { host, endpoints }: MachineService,
  routes: Routes,
  isReplaced: boolean,
): readonly (readonly ServiceEndpoint[])[] {
  const destinations = routes.destinations.filter((one) => one.host === host && one.weight > 0);
  const names = destinations.flatMap(({ subset }) => (subset === undefined ? [] : [subset]));
  if (names.length === 0 || names.length < destinations.length) return [endpoints];
  const subsets = routes.subsets
    .filter((subset) => subset.host === host)
    .filter(({ name, isKept = false }) => names.includes(name) || (isKept && !isReplaced));
  return subsets.map(({ labels }) =>
    endpoints.filter((endpoint) => Object.entries(labels).every(([key, value]) => endpoint.labels[key] === value)),
  );
}

function describe({ host, others, floor, leases }: Count): string {
  const left = `Service ${host} would keep ${others} of the ${floor} endpoints of its floor`;
  const holders = leases.map(({ machine, operationId }) => `${machine} (${operationId})`);
  if (holders.length === 0) return `${left}, as others are drained or not healthy, or it has no more`;
  return `${left} while ${holders.join(', ')} is out`;
}
