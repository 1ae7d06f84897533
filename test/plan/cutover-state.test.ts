/** What a person may ask of a running migration, and when. */
import { describe, expect, test } from '@jest/globals';

import {
  awaiting,
  beginning,
  type ControlAction,
  type ControlRequest,
  type CutoverState,
  decide,
  refusalOf,
} from '../../workflows/plan/cutover-state.ts';

const asked = (action: ControlAction, more: Partial<ControlRequest> = {}): ControlRequest => ({
  ...{ action, by: 'jane', why: 'because', bodyDigest: action },
  ...more,
});
const states: Readonly<Record<string, CutoverState>> = {
  'a run in its steps': beginning,
  'a run that waits for an approval': awaiting(beginning, 'approval'),
  'a run that waits to be finalized': awaiting(beginning, 'finalize'),
  'a paused run': { ...beginning, isPaused: true },
  'a run whose machines leave': { ...beginning, isFinalizing: true },
  'a run that is rolled back': { ...beginning, isRollbackAsked: true },
};
const actions = ['approve', 'pause', 'resume', 'rollback', 'finalize'] as const;

describe('to', () => {
  test.each<[string, ControlAction[]]>([
    ['a run in its steps', ['pause', 'rollback']],
    ['a run that waits for an approval', ['approve', 'pause', 'rollback']],
    ['a run that waits to be finalized', ['finalize', 'pause', 'rollback']],
    ['a paused run', ['resume', 'rollback']],
    ['a run whose machines leave', []],
    ['a run that is rolled back', []],
  ])('%s one can say %j', (name, allowed) => {
    const state = states[name] ?? beginning;
    expect(actions.filter((action) => refusalOf(state, asked(action)) === undefined).sort()).toEqual(allowed.sort());
  });
});

test('an answer ends the wait, and is no answer to the next one', () => {
  const answered = decide(awaiting(beginning, 'approval'), asked('approve'));
  expect(answered).toMatchObject({ awaits: 'nothing', decision: { by: 'jane' } });
  expect(awaiting(answered, 'finalize').decision).toBeUndefined();
});

test('a rollback is remembered with who asked and why', () => {
  expect(decide(beginning, asked('rollback'))).toMatchObject({ isRollbackAsked: true, decision: asked('rollback') });
});

test('an approval that names another weight than the one that waits is refused: it was of a step before', () => {
  const state = awaiting(beginning, 'approval', 100);
  expect(refusalOf(state, asked('approve', { weight: 100 }))).toBeUndefined();
  expect(refusalOf(state, asked('approve', { weight: 50 }))).toEqual({
    type: 'ControlNotApplicable',
    message: 'The migration waits for the approval of 100%, not of 50%',
  });
});

test('what is said again with its key is heard once, and the key says nothing else', () => {
  const once = asked('approve', { idempotencyKey: 'k' });
  const next = awaiting(decide(awaiting(beginning, 'approval', 50), once), 'approval', 100);
  expect(refusalOf(next, once)).toBeUndefined();
  expect(decide(next, once)).toEqual(next);
  expect(refusalOf(next, asked('pause', { idempotencyKey: 'k' }))).toMatchObject({ type: 'IdempotencyKeyReused' });
  const back = decide(next, asked('rollback'));
  expect(refusalOf(back, once)).toBeUndefined();
});
