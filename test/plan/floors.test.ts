/** Leases: who may be taken out of service, so that no Service falls below its floor. */
import { describe, expect, test } from '@jest/globals';

import type { MachineService, Routes, ServiceEndpoint } from '../../activities/ports/mesh-port.ts';
import { decideLease, type FloorFacts, type Lease, type LeaseRequest } from '../../workflows/plan/floors.ts';

const noRoutes: Routes = { destinations: [], subsets: [] };
const machine = (name: string, more: Partial<ServiceEndpoint> = {}): ServiceEndpoint => ({
  address: `addr-${name}`,
  machine: name,
  labels: {},
  isOffered: true,
  ...more,
});
const pod = (name: string): ServiceEndpoint => ({ address: `addr-${name}`, labels: {}, isOffered: true });
const out = (name: string): ServiceEndpoint => machine(name, { isOffered: false });
const service = (host: string, ...endpoints: ServiceEndpoint[]): MachineService => ({ host, endpoints });
const facts = (services: readonly MachineService[], more: Partial<FloorFacts> = {}): FloorFacts => ({
  services,
  routes: noRoutes,
  floors: {},
  closed: [],
  ...more,
});
const lease = (name: string, ...hosts: string[]): Lease => ({ operationId: `drain-${name}`, machine: name, hosts });
const ask = (name: string, allowDisruption = false): LeaseRequest => ({
  operationId: `drain-${name}`,
  machine: name,
  allowDisruption,
});

interface Row {
  readonly title: string;
  readonly leases?: readonly Lease[];
  readonly wants: LeaseRequest;
  readonly facts: FloorFacts;
  readonly verdict: unknown;
}

const weighted = (weight: number): Routes => ({
  destinations: [
    { host: 'orders', subset: 'old', weight: 100 - weight },
    { host: 'orders', subset: 'new', weight },
  ],
  subsets: [
    { host: 'orders', name: 'old', labels: { version: 'v1' } },
    { host: 'orders', name: 'new', labels: { version: 'v2' } },
  ],
});
/** All traffic is with `old`, and may go back. */
const kept: Routes = {
  ...weighted(0),
  subsets: weighted(0).subsets.map((subset) => (subset.name === 'new' ? { ...subset, isKept: true } : subset)),
};
const versions = [machine('m1', { labels: { version: 'v1' } }), machine('m2', { labels: { version: 'v2' } })];

const rows: readonly Row[] = [
  {
    title: 'grants a machine whose Service keeps another one',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), machine('m2'))]),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'counts pods as endpoints',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), pod('p1'))]),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'does not let two drains take both of two endpoints, and names the holder',
    leases: [lease('m2', 'orders')],
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), machine('m2'))]),
    verdict: { kind: 'Held', holders: ['drain-m2'], message: expect.stringContaining('m2 (drain-m2)') },
  },
  {
    title: 'not even where the disruption is allowed',
    leases: [lease('m2', 'orders')],
    wants: ask('m1', true),
    facts: facts([service('orders', machine('m1'), machine('m2'))]),
    verdict: { kind: 'Held', holders: ['drain-m2'] },
  },
  {
    title: 'holds a lease against others until its endpoint is seen to be back',
    leases: [lease('m2', 'orders')],
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), out('m2'), machine('m3'))]),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'forgets a lease whose operation runs no more',
    leases: [lease('m2', 'orders')],
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), machine('m2'))], { closed: ['drain-m2'] }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'refuses the only endpoint of a Service',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), machine('m2')), service('checkout', machine('m1'))]),
    verdict: { kind: 'SoleEndpoint', message: expect.stringContaining('checkout') },
  },
  {
    title: 'waits for an endpoint that is drained or unhealthy, which counts as none',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), out('m2'))]),
    verdict: { kind: 'Held', holders: [], message: expect.stringContaining('0 of the 1') },
  },
  {
    title: 'takes the only endpoint where that is allowed, and says which Service it disrupts',
    wants: ask('m1', true),
    facts: facts([service('orders', machine('m1'))]),
    verdict: { kind: 'Granted', disrupts: ['orders'] },
  },
  {
    title: 'lets the highest floor of the machines of a Service count',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'), machine('m2'), machine('m3'))], { floors: { m2: 3 } }),
    verdict: { kind: 'Held', holders: [], message: expect.stringContaining('2 of the 3') },
  },
  {
    title: 'takes a floor of 0 at its word',
    wants: ask('m1'),
    facts: facts([service('orders', machine('m1'))], { floors: { m1: 0 } }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'needs nothing for a machine that is given to nobody',
    wants: ask('m1'),
    facts: facts([service('orders', out('m1'))]),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'needs nothing for a machine in a subset of weight 0',
    wants: ask('m2'),
    facts: facts([service('orders', ...versions)], { routes: weighted(0) }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'does not count endpoints of a subset of weight 0',
    wants: ask('m1'),
    facts: facts([service('orders', ...versions)], { routes: weighted(0) }),
    verdict: { kind: 'SoleEndpoint' },
  },
  {
    title: 'counts a subset of weight 0 that a migration may need again',
    wants: ask('m2'),
    facts: facts([service('orders', ...versions)], { routes: kept }),
    verdict: { kind: 'SoleEndpoint' },
  },
  {
    title: 'grants a machine of it that keeps another one',
    wants: ask('m2'),
    facts: facts([service('orders', ...versions, machine('m3', { labels: { version: 'v2' } }))], { routes: kept }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'lets a machine leave that a migration has replaced',
    wants: { ...ask('m2'), isReplaced: true },
    facts: facts([service('orders', ...versions)], { routes: kept }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'counts each subset that gets traffic by itself, since none stands in for another',
    wants: ask('m1'),
    facts: facts([service('orders', ...versions)], { routes: weighted(5) }),
    verdict: { kind: 'SoleEndpoint' },
  },
  {
    title: 'grants a machine whose subset keeps another one',
    wants: ask('m1'),
    facts: facts([service('orders', ...versions, machine('m3', { labels: { version: 'v1' } }))], {
      routes: weighted(5),
    }),
    verdict: { kind: 'Granted', disrupts: [] },
  },
  {
    title: 'waits for the drain of another one of its subset, and not for those of other subsets',
    leases: [lease('m2', 'orders'), lease('m3', 'orders')],
    wants: ask('m1'),
    facts: facts([service('orders', ...versions, machine('m3', { labels: { version: 'v1' } }))], {
      routes: weighted(5),
    }),
    verdict: { kind: 'Held', holders: ['drain-m3'] },
  },
  {
    title: 'judges a lease that is held anew: what fell below meanwhile is told',
    leases: [lease('m1', 'orders')],
    wants: ask('m1'),
    facts: facts([service('orders', out('m1'), out('m2'))]),
    verdict: { kind: 'Held' },
  },
];

describe('a lease', () => {
  test.each(rows)('$title', ({ leases = [], wants, facts: given, verdict }) => {
    expect(decideLease(leases, wants, given).verdict).toMatchObject(verdict as Record<string, unknown>);
  });

  test('is held from the grant on, and once', () => {
    const given = facts([service('orders', machine('m1'), machine('m2'))]);
    const once = decideLease([], ask('m1'), given).leases;
    const twice = decideLease(once, ask('m1'), given).leases;
    expect([once, twice]).toEqual([[lease('m1', 'orders')], [lease('m1', 'orders')]]);
  });
});

/** A small generator with a seed: the same runs every time. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

describe('any order of drains and returns', () => {
  test.each(Array.from({ length: 200 }, (_, seed) => [seed + 1]))('keeps every floor (seed %i)', (seed) => {
    const pick = random(seed);
    const machines = Array.from({ length: 2 + pick(5) }, (_, index) => `m${index}`);
    const members = ['orders', 'checkout'].map((host) => ({
      host,
      machines: machines.filter(() => pick(3) > 0),
      pods: pick(2),
    }));
    const floors = Object.fromEntries(machines.map((name) => [name, pick(3)]));
    let leases: readonly Lease[] = [];
    const drained = new Set<string>();
    const offered = ({ machines: names, pods }: (typeof members)[number]): number =>
      names.filter((name) => !drained.has(name)).length + pods;
    for (let step = 0; step < 60; step += 1) {
      const name = machines[pick(machines.length)] ?? '';
      const mine = leases.find((one) => one.machine === name);
      if (mine !== undefined && pick(2) === 0) {
        drained.delete(name);
        leases = leases.filter((one) => one !== mine);
        continue;
      }
      if (mine !== undefined) {
        drained.add(name);
        continue;
      }
      const services = members
        .filter((one) => one.machines.includes(name))
        .map((one) =>
          service(
            one.host,
            ...one.machines.map((other) => (drained.has(other) ? out(other) : machine(other))),
            ...Array.from({ length: one.pods }, (_, index) => pod(`p${index}`)),
          ),
        );
      const before = members.map(offered);
      const decided = decideLease(leases, ask(name), facts(services, { floors }));
      ({ leases } = decided);
      if (decided.verdict.kind !== 'Granted') continue;
      // Whoever holds a lease may be gone the next moment.
      const least = members.map(({ machines: names, pods }) => {
        const away = new Set(leases.map((one) => one.machine));
        return names.filter((other) => !away.has(other) && !drained.has(other)).length + pods;
      });
      members.forEach(({ machines: names }, index) => {
        const floor = Math.max(0, ...names.map((other) => floors[other] ?? 1));
        if (!names.includes(name)) return;
        expect(Math.min(before[index] ?? 0, floor)).toBeLessThanOrEqual(Math.max(least[index] ?? 0, 0));
      });
    }
  });
});
