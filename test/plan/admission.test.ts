import { describe, expect, test } from '@jest/globals';

import type { OnboardRequest } from '../../workflows/messages.ts';
import {
  accept,
  admitClaim,
  admitOffboard,
  admitOnboard,
  KEY_LIFETIME_MS,
  KEYS_KEPT,
  keysLiveForMs,
  QUEUE_LIMIT,
} from '../../workflows/plan/admission.ts';
import { newMachine, releaseClaim } from '../../workflows/plan/machine-state.ts';
import type { MachineState } from '../../workflows/plan/machine-state.ts';
import { beginNext } from '../../workflows/plan/turns.ts';
import { request as body, without } from './facts.ts';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const onboard = (operationId: string, fields: Partial<OnboardRequest> = {}): OnboardRequest => ({
  operationId,
  bodyDigest: 'one',
  body,
  ...fields,
});
const offboard = (operationId: string, idempotencyKey?: string) => ({
  operationId,
  bodyDigest: 'none',
  ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
});
const afterOnboard = (state: MachineState, request: OnboardRequest, atMs = nowMs): MachineState => {
  const admission = admitOnboard(state, request, atMs);
  if (admission.kind === 'Refuse') throw new Error(admission.message);
  return accept(state, admission, request, atMs);
};
const onboarding = beginNext(afterOnboard(newMachine, onboard('op-1', { idempotencyKey: 'k' })));
const inMesh: MachineState = { ...without(onboarding, 'current'), phase: 'InMesh', isPresent: true };

test('takes on the first onboarding', () => {
  expect(admitOnboard(newMachine, onboard('op-1'), nowMs)).toMatchObject({
    kind: 'Enqueue',
    operation: { operationId: 'op-1', verb: 'onboard' },
  });
});

test('answers the same body with the operation in flight', () => {
  expect(admitOnboard(onboarding, onboard('op-2'), nowMs)).toEqual({ kind: 'Same', operationId: 'op-1' });
});

test('answers the same body with the operation that waits for its turn', () => {
  const queued = afterOnboard(newMachine, onboard('op-1'));
  expect(admitOnboard(queued, onboard('op-2'), nowMs)).toEqual({ kind: 'Same', operationId: 'op-1' });
});

test('takes on the same body again when the machine is in the mesh', () => {
  expect(admitOnboard(inMesh, onboard('op-2'), nowMs)).toMatchObject({
    kind: 'Enqueue',
    operation: { operationId: 'op-2' },
  });
});

test.each([
  ['in the mesh', inMesh],
  ['on its way into it', onboarding],
])('refuses another body for a machine that is %s, and says to DELETE it first', (_title, state) => {
  const admission = admitOnboard(state, onboard('op-2', { bodyDigest: 'two' }), nowMs);
  expect(admission).toMatchObject({
    kind: 'Refuse',
    type: 'MachineExists',
    message: expect.stringContaining('DELETE'),
  });
});

test('answers a repeated key with its operation, also when that has long ended', () => {
  expect(admitOnboard(inMesh, onboard('op-2', { idempotencyKey: 'k' }), nowMs)).toEqual({
    kind: 'Same',
    operationId: 'op-1',
  });
});

test('refuses a key that comes back with another request', () => {
  const admission = admitOnboard(inMesh, onboard('op-2', { idempotencyKey: 'k', bodyDigest: 'two' }), nowMs);
  expect(admission).toMatchObject({ kind: 'Refuse', type: 'IdempotencyKeyReused' });
  expect(admitOffboard(inMesh, offboard('op-2', 'k'), 'shop/orders-1', nowMs)).toMatchObject({
    type: 'IdempotencyKeyReused',
  });
});

test('forgets a key after 24 hours', () => {
  const later = nowMs + KEY_LIFETIME_MS;
  expect(admitOnboard(inMesh, onboard('op-2', { idempotencyKey: 'k' }), later)).toMatchObject({ kind: 'Enqueue' });
  const state = afterOnboard(inMesh, onboard('op-2', { idempotencyKey: 'l' }), later);
  expect(state.keys.map(({ key }) => key)).toEqual(['l']);
});

test('lives for its last key, and no longer', () => {
  const state = afterOnboard(inMesh, onboard('op-2', { idempotencyKey: 'l' }), nowMs + 1000);
  expect(keysLiveForMs(state, nowMs + 1000)).toBe(KEY_LIFETIME_MS);
  expect(keysLiveForMs(state, nowMs + KEY_LIFETIME_MS)).toBe(1000);
  expect(keysLiveForMs(state, nowMs + KEY_LIFETIME_MS + 1000)).toBe(0);
  expect(keysLiveForMs(newMachine, nowMs)).toBe(0);
});

test('forgets the oldest keys beyond those it keeps', () => {
  let state = inMesh;
  for (let index = 0; index < KEYS_KEPT; index++) {
    state = accept(
      state,
      { kind: 'Same', operationId: 'op-1' },
      onboard('op-1', { idempotencyKey: `n${index}` }),
      nowMs,
    );
  }
  expect(state.keys).toHaveLength(KEYS_KEPT);
  expect(state.keys[0]?.key).toBe('n0');
});

test('remembers the key of a request that an earlier operation answered', () => {
  const state = afterOnboard(onboarding, onboard('op-2', { idempotencyKey: 'l' }));
  expect(state.keys).toContainEqual({ key: 'l', bodyDigest: 'one', operationId: 'op-1', atMs: nowMs });
  expect(state.queue).toEqual([]);
});

test('offboards a machine that is there, or on its way', () => {
  expect(admitOffboard(inMesh, offboard('op-2'), 'shop/orders-1', nowMs)).toMatchObject({ kind: 'Enqueue' });
  expect(admitOffboard(onboarding, offboard('op-2'), 'shop/orders-1', nowMs)).toMatchObject({ kind: 'Enqueue' });
});

test('answers a second offboarding with the one in flight', () => {
  const leaving = beginNext({ ...inMesh, queue: [{ operationId: 'op-2', bodyDigest: 'none', verb: 'offboard' }] });
  expect(admitOffboard(leaving, offboard('op-3'), 'shop/orders-1', nowMs)).toEqual({
    kind: 'Same',
    operationId: 'op-2',
  });
});

test('refuses to offboard what is not there', () => {
  expect(admitOffboard(newMachine, offboard('op-1'), 'shop/orders-1', nowMs)).toMatchObject({
    type: 'MachineNotFound',
    message: expect.stringContaining('shop/orders-1'),
  });
});

test('onboards anew, with any body, after an offboarding in flight', () => {
  const leaving = beginNext({ ...inMesh, queue: [{ operationId: 'op-2', bodyDigest: 'none', verb: 'offboard' }] });
  expect(admitOnboard(leaving, onboard('op-3', { bodyDigest: 'two' }), nowMs)).toMatchObject({ kind: 'Enqueue' });
});

test('refuses when too many operations wait', () => {
  const queue = Array.from({ length: QUEUE_LIMIT }, (_, index) => ({
    operationId: `op-${index}`,
    bodyDigest: 'none',
    verb: 'offboard' as const,
  }));
  expect(admitOnboard({ ...inMesh, queue }, onboard('op-99'), nowMs)).toMatchObject({ type: 'MachineBusy' });
});

describe('a machine that a migration has claimed', () => {
  const by = 'migrate.shop.orders';
  const claimed: MachineState = { ...inMesh, claimedBy: by };
  const leaves = (migration?: string) =>
    admitOffboard(
      claimed,
      { ...offboard('op-2'), ...(migration === undefined ? {} : { migration }) },
      'shop/orders-1',
      nowMs,
    );

  test('leaves by that migration alone', () => {
    expect(leaves()).toMatchObject({ type: 'MachineClaimed', message: expect.stringContaining(by) });
    expect(leaves('migrate.shop.other')).toMatchObject({ type: 'MachineClaimed' });
    expect(leaves(by)).toMatchObject({ kind: 'Enqueue', operation: { verb: 'offboard', migration: by } });
  });

  test('leaves by force, since of a machine that is lost nothing else is left to do', () => {
    const forced = admitOffboard(claimed, { ...offboard('op-2'), force: true }, 'shop/orders-1', nowMs);
    expect(forced).toMatchObject({ kind: 'Enqueue', operation: { verb: 'offboard', force: true } });
  });

  test.each([
    ['may be claimed again by it', claimed, by, undefined],
    ['is refused to another one', claimed, 'migrate.shop.other', 'MachineClaimed'],
    ['is free for the next one once it is released', releaseClaim(claimed, by), 'migrate.shop.other', undefined],
    ['is released by nobody else', releaseClaim(claimed, 'migrate.shop.other'), 'migrate.shop.other', 'MachineClaimed'],
    ['cannot be claimed before it is in the mesh', newMachine, by, 'MachineNotInMesh'],
  ])('%s', (_, state, claimant, refusal) => {
    expect(admitClaim(state, claimant, 'shop/orders-1')?.type).toBe(refusal);
  });
});
