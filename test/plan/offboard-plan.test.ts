import { expect, test } from '@jest/globals';

import { clusterLeftovers, leftovers, planOffboard } from '../../workflows/plan/offboard-plan.ts';
import { cluster, machine, member, memberMachine } from './facts.ts';

test('takes a member apart: proxy, journal, and the objects that are its own', () => {
  expect(planOffboard('orders-1', member.cluster, memberMachine)).toEqual({
    stopsProxy: true,
    restores: true,
    objects: [{ apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', namespace: 'shop', name: 'meshlift-orders-1' }],
  });
});

test('plans nothing where nothing of a machine is left', () => {
  expect(planOffboard('orders-1', cluster, machine)).toEqual({ stopsProxy: false, restores: false, objects: [] });
});

test('touches no proxy that Meshlift did not set up', () => {
  const byHand = { ...memberMachine, journal: { ...memberMachine.journal, entries: 0 } };
  expect(planOffboard('orders-1', cluster, byHand)).toMatchObject({ stopsProxy: false, restores: false });
});

test('stops a proxy that is down but would be started by the dead-man timer or the next boot', () => {
  const down = { ...memberMachine, isCaptured: false, unit: { ...memberMachine.unit, activeState: 'inactive' } };
  expect(planOffboard('orders-1', cluster, down).stopsProxy).toBe(true);
  const off = { ...down, unit: { ...down.unit, enabled: false } };
  expect(planOffboard('orders-1', cluster, off).stopsProxy).toBe(false);
  expect(
    planOffboard('orders-1', cluster, { ...off, journal: { ...off.journal, deadManArmed: true } }).stopsProxy,
  ).toBe(true);
});

test('leaves objects of other machines and of the group', () => {
  expect(planOffboard('orders-2', member.cluster, machine).objects).toEqual([]);
});

const looked = {
  machineName: 'orders-1',
  cluster,
  machine,
  registered: undefined,
  wasOurs: true,
};
const down = { ...machine, unit: { ...machine.unit, exists: true, activeState: 'failed' } };
test.each([
  ['nothing', looked, []],
  ['nothing of a unit that failed', { ...looked, machine: down }, []],
  [
    'journal and objects',
    { ...looked, cluster: member.cluster, machine: { ...machine, journal: memberMachine.journal } },
    ["9 changes in the machine's journal", 'Sidecar shop/meshlift-orders-1'],
  ],
  ['a running unit', { ...looked, machine: { ...machine, unit: memberMachine.unit } }, ['unit istio, which is active']],
  ['redirection', { ...looked, machine: { ...machine, isCaptured: true } }, ['redirection of its traffic']],
  [
    "nothing of somebody's hand-made join",
    { ...looked, wasOurs: false, machine: { ...machine, unit: memberMachine.unit, isCaptured: true } },
    [],
  ],
  ['its entry', { ...looked, registered: { name: 'orders-192.0.2.11' } }, ['WorkloadEntry orders-192.0.2.11']],
])('names what is left: %s', (_title, look, left) => {
  expect(leftovers(look)).toEqual(left);
});

test('tells what is left in the cluster alone, for a machine that nobody can ask', () => {
  expect(clusterLeftovers('orders-1', member.cluster, { name: 'orders-192.0.2.11' })).toEqual([
    'WorkloadEntry orders-192.0.2.11',
    'Sidecar shop/meshlift-orders-1',
  ]);
  expect(clusterLeftovers('orders-1', cluster, undefined)).toEqual([]);
});
