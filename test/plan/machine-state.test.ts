import { expect, test } from '@jest/globals';

import type { OnboardMachine } from '../../api/schemas/machine.ts';
import { newMachine, toMachine } from '../../workflows/plan/machine-state.ts';

const body: OnboardMachine = {
  name: 'orders-1',
  namespace: 'shop',
  workloadGroup: 'orders',
  host: { address: '192.0.2.10', user: 'ops', credentialsName: 'fleet', hostKey: { trustOnFirstUse: true } },
};

test('is no machine before its first operation was accepted', () => {
  expect(toMachine('shop', 'orders-1', newMachine)).toBeUndefined();
});

test('lists the operations that wait and the one that runs before those that ended', () => {
  const state = {
    ...newMachine,
    desired: body,
    queue: [{ operationId: 'third', verb: 'offboard', bodyDigest: '3' } as const],
    current: { operationId: 'second', verb: 'onboard', bodyDigest: '2', body } as const,
    lastOperations: [{ id: 'first', verb: 'onboard', phase: 'Cancelled' }],
  };
  expect(toMachine('shop', 'orders-1', state)?.lastOperations.map(({ id, phase }) => `${id} ${phase}`)).toEqual([
    'third Pending',
    'second Running',
    'first Cancelled',
  ]);
});
