import { describe, expect, test } from '@jest/globals';

import type { OperationPhase } from '../../api/schemas/operation.ts';
import type { OperateRequest, OperationOutcome } from '../../workflows/messages.ts';
import { accept, admitOffboard, admitOnboard, admitOperate } from '../../workflows/plan/admission.ts';
import { newMachine } from '../../workflows/plan/machine-state.ts';
import type { MachineState } from '../../workflows/plan/machine-state.ts';
import { applyOutcome, beginNext, refuseOther } from '../../workflows/plan/turns.ts';
import { now, outcomeOf, request as body } from './facts.ts';

const id = 'shop/orders-1';
const nowMs = Date.parse(now);
const inMesh: MachineState = {
  ...newMachine,
  phase: 'InMesh',
  isPresent: true,
  desired: body,
  desiredDigest: 'one',
};
const drained: MachineState = { ...inMesh, phase: 'Drained', isDrained: true };
const failed: MachineState = { ...inMesh, phase: 'Failed' };
const drain: OperateRequest = { operationId: 'op-d', bodyDigest: 'd', verb: 'drain', body: {} };
const undrain: OperateRequest = { operationId: 'op-u', bodyDigest: 'u', verb: 'undrain', body: {} };
const enforce: OperateRequest = { operationId: 'op-e', bodyDigest: 'e', verb: 'enforce', body: { mode: 'enforce' } };
const offboard = { operationId: 'op-o', bodyDigest: 'o', verb: 'offboard' } as const;
const onboard = { operationId: 'op-1', bodyDigest: 'one', verb: 'onboard', body } as const;

describe('a verb is asked of', () => {
  test.each<[string, MachineState, OperateRequest, string]>([
    ['a member: taken on', inMesh, drain, 'Enqueue'],
    ['a drained member: taken on', drained, undrain, 'Enqueue'],
    ['a machine that joins: waits for its turn', beginNext({ ...newMachine, queue: [onboard] }), drain, 'Enqueue'],
    ['a machine on which the same runs: the same operation', { ...inMesh, current: drain }, drain, 'Same'],
    ['a machine on which the same waits: the same operation', { ...inMesh, queue: [drain] }, drain, 'Same'],
    [
      'a machine on which another body runs: taken on',
      { ...inMesh, current: drain },
      { ...drain, bodyDigest: 'x' },
      'Enqueue',
    ],
    ['a machine that leaves: refused', { ...inMesh, current: offboard }, drain, 'MachineNotInMesh'],
    ['a machine whose onboarding failed: refused', failed, drain, 'MachineNotInMesh'],
    ['a machine that left: refused', { ...newMachine, phase: 'Offboarded', desired: body }, drain, 'MachineNotFound'],
  ])('%s', (_title, state, request, expected) => {
    const admission = admitOperate(state, request, id, nowMs);
    expect(admission.kind === 'Refuse' ? admission.type : admission.kind).toBe(expected);
  });

  test('queues the verb with its body, and remembers the key', () => {
    const request = { ...enforce, idempotencyKey: 'k' };
    const admission = admitOperate(inMesh, request, id, nowMs);
    if (admission.kind === 'Refuse') throw new Error(admission.message);
    const state = accept(inMesh, admission, request, nowMs);
    expect(state.queue).toEqual([enforce]);
    expect(admitOperate(state, { ...request, operationId: 'later' }, id, nowMs)).toEqual({
      kind: 'Same',
      operationId: 'op-e',
    });
    expect(admitOperate(state, { ...drain, idempotencyKey: 'k' }, id, nowMs)).toMatchObject({
      type: 'IdempotencyKeyReused',
    });
  });
});

test('an onboarding with another body is refused while a verb runs, an equal one is taken on', () => {
  const busy = { ...inMesh, current: drain };
  expect(admitOnboard(busy, { operationId: 'x', bodyDigest: 'two', body }, nowMs)).toMatchObject({
    type: 'MachineExists',
  });
  expect(admitOnboard(busy, { operationId: 'x', bodyDigest: 'one', body }, nowMs)).toMatchObject({ kind: 'Enqueue' });
});

test('an offboarding by force is another one than the offboarding that runs', () => {
  const leaving = { ...inMesh, current: offboard };
  const force = { operationId: 'op-f', bodyDigest: 'f', force: true };
  expect(admitOffboard(leaving, force, id, nowMs)).toMatchObject({ operation: { force: true } });
  expect(admitOffboard({ ...inMesh, queue: [{ ...offboard, force: true }] }, force, id, nowMs)).toMatchObject({
    kind: 'Same',
  });
});

describe('a member', () => {
  const after = (
    state: MachineState,
    request: OperateRequest,
    phase: OperationPhase,
    rest: Partial<OperationOutcome> = {},
  ) => applyOutcome(beginNext({ ...state, queue: [request] }), outcomeOf(request, phase, rest), now);

  test.each<[string, MachineState, Partial<MachineState>]>([
    [
      'is Drained after a drain',
      after(inMesh, drain, 'Succeeded', { isDrained: true }),
      { phase: 'Drained', isDrained: true },
    ],
    [
      'takes traffic again after an undrain',
      after(drained, undrain, 'Succeeded', { isDrained: false }),
      { phase: 'InMesh', isDrained: false },
    ],
    [
      'stays what it was when a drain is rolled back',
      after(inMesh, drain, 'RolledBack'),
      { phase: 'InMesh', isDrained: false },
    ],
    [
      'is Drained when its way back found no evidence',
      after(inMesh, drain, 'Failed', { isDrained: true }),
      { phase: 'Drained', isDrained: true },
    ],
    [
      'is enforced after enforce',
      after(inMesh, enforce, 'Succeeded', { enforcement: 'enforce' }),
      { phase: 'InMesh', enforcement: 'enforce' },
    ],
    [
      'stays drained while it is enforced',
      after(drained, enforce, 'Succeeded', { enforcement: 'enforce' }),
      { phase: 'Drained' },
    ],
    [
      'stays a member when what was done could not be undone',
      after(inMesh, enforce, 'Failed', { leftBehind: true }),
      { phase: 'InMesh', isPresent: true },
    ],
  ])('%s', (_title, state, expected) => {
    expect(state).toMatchObject(expected);
  });

  test('stays drained when it is onboarded again', () => {
    const again = { ...onboard, operationId: 'op-2' };
    const state = applyOutcome(beginNext({ ...drained, queue: [again] }), outcomeOf(again, 'Succeeded'), now);
    expect(state).toMatchObject({ phase: 'Drained', isDrained: true });
  });

  test('is neither drained nor enforced once it has left', () => {
    const enforced: MachineState = { ...drained, enforcement: 'enforce' };
    const gone = applyOutcome(beginNext({ ...enforced, queue: [offboard] }), outcomeOf(offboard, 'Succeeded'), now);
    expect(gone).toMatchObject({ phase: 'Offboarded', isDrained: false, enforcement: 'observe' });
  });
});

test('a verb behind an onboarding that failed touches nothing', () => {
  const refused = refuseOther(failed, drain, id);
  expect(refused).toMatchObject({ operation: { verb: 'drain', phase: 'Failed' }, leftBehind: false });
  expect(refuseOther(inMesh, drain, id)).toBeUndefined();
});
