import { expect, test } from '@jest/globals';

import { leftovers, planOffboard } from '../../workflows/plan/offboard-plan.ts';
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

test('names what is left', () => {
  expect(leftovers('orders-1', member.cluster, memberMachine)).toEqual([
    "9 changes in the machine's journal",
    'Sidecar shop/meshlift-orders-1',
  ]);
  expect(leftovers('orders-1', cluster, machine)).toEqual([]);
});
