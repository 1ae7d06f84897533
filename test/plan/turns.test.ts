import { expect, test } from '@jest/globals';

import type { OperationPhase } from '../../api/schemas/operation.ts';
import { describeMachine, toRow } from '../../workflows/plan/describe-machine.ts';
import { newMachine, OPERATIONS_KEPT, toMachine } from '../../workflows/plan/machine-state.ts';
import type { MachineState } from '../../workflows/plan/machine-state.ts';
import { applyOutcome, beginNext, outcomeOfLost, refuseOther } from '../../workflows/plan/turns.ts';
import { now, outcomeOf, request as body } from './facts.ts';

const onboard = { operationId: 'op-1', bodyDigest: 'one', verb: 'onboard', body } as const;
const offboard = { operationId: 'op-2', bodyDigest: 'none', verb: 'offboard' } as const;
const asked: MachineState = { ...newMachine, queue: [onboard], desired: body, desiredDigest: 'one' };

const proxy = {
  runningVersion: '1.30.0',
  desiredVersion: '1.30.0',
  revision: '1-30-0',
  connected: true,
  configAccepted: true,
};
const inMesh = applyOutcome(
  beginNext(asked),
  outcomeOf(onboard, 'Succeeded', {
    machine: { proxy, identity: { spiffeId: 'spiffe://a', tokenExpiresAt: now }, conditions: [] },
  }),
  now,
);
const repeat = { ...onboard, operationId: 'op-9' };

test('gives the turn to the operation that waits longest', () => {
  const state = beginNext({ ...asked, queue: [onboard, offboard] });
  expect(state).toMatchObject({
    phase: 'Onboarding',
    current: { operationId: 'op-1' },
    queue: [{ operationId: 'op-2' }],
  });
});

test('is in the mesh after an onboarding, with what was learned and the next fence above', () => {
  expect(inMesh).toMatchObject({ phase: 'InMesh', isPresent: true, fence: 1, proxy, queue: [] });
  expect(inMesh.current).toBeUndefined();
});

test.each<[OperationPhase, boolean, MachineState['phase'], boolean]>([
  ['Failed', false, 'Failed', false],
  ['RolledBack', false, 'Failed', false],
  ['Cancelled', false, 'Failed', false],
  ['Failed', true, 'Failed', true],
])(
  'after a first onboarding that ended %s (something left: %s) the machine is %s, there: %s',
  (ended, leftBehind, phase, isPresent) => {
    expect(applyOutcome(beginNext(asked), outcomeOf(onboard, ended, { leftBehind }), now)).toMatchObject({
      phase,
      isPresent,
    });
  },
);

test('stays the member it was when a repeat fails', () => {
  const state = beginNext({ ...inMesh, queue: [repeat] });
  expect(state.phase).toBe('InMesh');
  expect(applyOutcome(state, outcomeOf(repeat, 'Failed'), now)).toMatchObject({
    phase: 'InMesh',
    isPresent: true,
    proxy,
  });
});

test('keeps what an earlier operation placed when a repeat places nothing', () => {
  const state = beginNext({ ...inMesh, queue: [repeat] });
  const again = applyOutcome(
    state,
    outcomeOf(repeat, 'Succeeded', { machine: { proxy, identity: { spiffeId: 'spiffe://a' }, conditions: [] } }),
    now,
  );
  expect(again.identity.tokenExpiresAt).toBe(now);
});

const neverThere = applyOutcome(beginNext(asked), outcomeOf(onboard, 'Failed'), now);
const partlyThere = applyOutcome(beginNext(asked), outcomeOf(onboard, 'Failed', { leftBehind: true }), now);
test.each<[string, OperationPhase, boolean, MachineState['phase'], boolean, MachineState]>([
  ['a member', 'Succeeded', false, 'Offboarded', false, inMesh],
  ['a member', 'Failed', true, 'Failed', true, inMesh],
  ['a member', 'Failed', false, 'InMesh', true, inMesh],
  ['a member', 'RolledBack', false, 'InMesh', true, inMesh],
  ['a member', 'Cancelled', false, 'InMesh', true, inMesh],
  ['a machine with leftovers', 'Cancelled', false, 'Failed', true, partlyThere],
  ['a machine with leftovers', 'Failed', false, 'Failed', true, partlyThere],
  ['a machine with leftovers', 'Succeeded', false, 'Offboarded', false, partlyThere],
  ['a machine that was never touched', 'Failed', false, 'Failed', false, neverThere],
  ['a machine that was never touched', 'Failed', true, 'Failed', true, neverThere],
])(
  'after an offboarding of %s that ended %s (something left: %s) it is %s, there: %s',
  (_title, ended, leftBehind, phase, isPresent, before) => {
    const state = beginNext({ ...before, queue: [offboard] });
    expect(state).toMatchObject({ phase: 'Offboarding', before: before.phase });
    const after = applyOutcome(state, outcomeOf(offboard, ended, { leftBehind }), now);
    expect(after).toMatchObject({ phase, isPresent });
    expect(after).not.toHaveProperty('before');
  },
);

test('refuses an onboarding with another body behind an offboarding that did not succeed', () => {
  const other = { ...repeat, bodyDigest: 'two', body: { ...body, workloadGroup: 'others' } };
  const state = beginNext({ ...inMesh, queue: [other] });
  expect(state).toMatchObject({ desired: body, desiredDigest: 'one' });
  const refused = refuseOther(state, other, 'shop/orders-1');
  expect(refused).toMatchObject({ operationId: 'op-9', leftBehind: false, operation: { phase: 'Failed' } });
  expect(refused?.operation.message).toContain('DELETE');
  if (!refused) throw new Error('not refused');
  expect(applyOutcome(state, refused, now)).toMatchObject({ phase: 'InMesh', isPresent: true, desiredDigest: 'one' });
});

test.each([
  ['a repeat', beginNext({ ...inMesh, queue: [repeat] }), repeat],
  [
    'another body after the machine has left',
    beginNext({ ...neverThere, queue: [{ ...repeat, bodyDigest: 'two' }] }),
    { ...repeat, bodyDigest: 'two' },
  ],
  ['an offboarding', beginNext({ ...inMesh, queue: [offboard] }), offboard],
])('runs %s', (_title, state, current) => {
  expect(refuseOther(state, current, 'shop/orders-1')).toBeUndefined();
});

test('knows of a machine that stays what it knew, and what an unsuccessful operation found', () => {
  const condition = (type: string, status: 'True' | 'False') =>
    ({ type, status, category: 'Critical', reason: type, message: '', lastTransitionTime: now }) as const;
  const known = { ...inMesh, conditions: [condition('Reachable', 'True'), condition('Connected', 'True')] };
  const end = outcomeOf(offboard, 'Failed');
  const looked = { ...end, operation: { ...end.operation, conditions: [condition('Reachable', 'False')] } };
  expect(applyOutcome(beginNext({ ...known, queue: [offboard] }), looked, now).conditions).toEqual([
    condition('Reachable', 'False'),
    condition('Connected', 'True'),
  ]);
});

test('knows no proxy and no identity of a machine that has left', () => {
  const gone = applyOutcome(beginNext({ ...inMesh, queue: [offboard] }), outcomeOf(offboard, 'Succeeded'), now);
  expect(gone).toMatchObject({ proxy: { connected: false, configAccepted: false }, identity: {} });
});

test('pins the host key that was trusted on first use', () => {
  const trusting = { ...body, host: { ...body.host, hostKey: { trustOnFirstUse: true as const } } };
  const fingerprint = `SHA256:${'B'.repeat(43)}`;
  const state = beginNext({ ...asked, desired: trusting, queue: [{ ...onboard, body: trusting }] });
  expect(
    applyOutcome(state, outcomeOf(onboard, 'Succeeded', { pinnedHostKey: fingerprint }), now).desired?.host.hostKey,
  ).toEqual({ fingerprint });
});

test('keeps the pinned key when the same body, which says to trust, comes again', () => {
  const state = beginNext({
    ...inMesh,
    queue: [{ ...repeat, body: { ...body, host: { ...body.host, hostKey: { trustOnFirstUse: true } } } }],
  });
  expect(state.desired?.host.hostKey).toEqual(body.host.hostKey);
});

test('does not know what an operation left that ended without a word', () => {
  const state = applyOutcome(beginNext(asked), outcomeOfLost(onboard, 'shop/orders-1', 'terminated'), now);
  expect(state).toMatchObject({ phase: 'Failed', isPresent: true });
  expect(state.fence).toBeUndefined();
  expect(state.lastOperations[0]?.message).toContain('DELETE shop/orders-1');
});

test('ignores the outcome of an operation that is not its turn', () => {
  const state = beginNext(asked);
  expect(applyOutcome(state, outcomeOf(offboard, 'Succeeded'), now)).toBe(state);
});

test('keeps the last operations, newest first', () => {
  let state = inMesh;
  for (let index = 0; index < OPERATIONS_KEPT + 3; index++) {
    const next = { ...onboard, operationId: `op-${index}` };
    state = applyOutcome(beginNext({ ...state, queue: [next] }), outcomeOf(next, 'Succeeded'), now);
  }
  expect(state.lastOperations.map(({ id }) => id)).toEqual(
    Array.from({ length: OPERATIONS_KEPT }, (_, index) => `op-${OPERATIONS_KEPT + 2 - index}`),
  );
});

test('reads as the API shows it, as a row of the list, and as text of the Temporal UI', () => {
  const view = toMachine('shop', 'orders-1', inMesh);
  expect(view).toMatchObject({ phase: 'InMesh', workloadGroup: 'orders', host: body.host });
  if (!view) throw new Error('no machine');
  expect(toRow(view)).toEqual({
    namespace: 'shop',
    name: 'orders-1',
    workloadGroup: 'orders',
    phase: 'InMesh',
    revision: '1-30-0',
    proxyVersion: '1.30.0',
    outdated: false,
  });
  expect(toRow({ ...view, proxy: { ...proxy, desiredVersion: '1.31.0' } }).outdated).toBe(true);
  expect(describeMachine(view, inMesh)).toContain('**InMesh**, waiting for a request');
  expect(toMachine('shop', 'orders-1', newMachine)).toBeUndefined();
});

test('is migrated, not offboarded, where a migration let it leave', () => {
  const leaving = { ...offboard, migration: 'migrate.shop.orders' };
  const state = beginNext({ ...inMesh, queue: [leaving] });
  expect(applyOutcome(state, outcomeOf(leaving, 'Succeeded'), now)).toMatchObject({
    phase: 'Migrated',
    isPresent: false,
  });
});
