import { expect, test } from '@jest/globals';

import type { PatchMachine } from '../../api/schemas/machine.ts';
import { newMachine } from '../../workflows/plan/machine-state.ts';
import type { MachineState } from '../../workflows/plan/machine-state.ts';
import { patchMachine } from '../../workflows/plan/patch-machine.ts';
import { noteOverdue, overdueInMs } from '../../workflows/plan/temporary.ts';
import { request as body } from './facts.ts';

const id = 'shop/orders-1';
const nowMs = Date.parse('2026-11-22T12:00:00Z');
const inMesh: MachineState = { ...newMachine, phase: 'InMesh', isPresent: true, desired: body, version: 3 };
const busy: MachineState = {
  ...inMesh,
  current: { operationId: 'op-1', bodyDigest: 'd', verb: 'drain', body: {} },
};
const moved = { host: { ...body.host, address: '192.0.2.99' } };

const patched = (state: MachineState, patch: PatchMachine, ifVersion?: number) =>
  patchMachine(state, { patch, ...(ifVersion === undefined ? {} : { ifVersion }) }, id);

test('changes what is desired and counts the version up', () => {
  expect(patched(inMesh, { floor: 2, restart: 'now' }, 3)).toMatchObject({
    kind: 'Patched',
    state: { version: 4, desired: { ...body, floor: 2, restart: 'now' } },
  });
});

test('changes nothing the second time', () => {
  const state: MachineState = { ...inMesh, desired: { ...body, floor: 2 } };
  expect(patched(state, { floor: 2 })).toEqual({ kind: 'Patched', state });
});

test.each<[string, MachineState, PatchMachine, number | undefined, string]>([
  ['another version than the one it was made for', inMesh, { floor: 2 }, 2, 'VersionDiffers'],
  ['a machine that is not there', newMachine, { floor: 2 }, undefined, 'MachineNotFound'],
  ['the host of a machine that an operation works on', busy, moved, undefined, 'MachineBusy'],
])('refuses to patch %s', (_title, state, patch, ifVersion, type) => {
  expect(patched(state, patch, ifVersion)).toMatchObject({ kind: 'Refuse', type });
});

test('changes a floor while an operation runs', () => {
  expect(patched(busy, { floor: 0 })).toMatchObject({ kind: 'Patched', state: { version: 4 } });
});

const until = (time: string): MachineState => ({
  ...inMesh,
  desired: { ...body, intent: { kind: 'temporary', until: time } },
});
const past = until('2026-11-22T11:59:59Z');
const future = until('2026-11-22T12:00:10Z');

test('a date that has passed becomes the advisory TemporaryOverdue', () => {
  expect(noteOverdue(past, id, nowMs).conditions).toMatchObject([
    { type: 'TemporaryOverdue', status: 'True', category: 'Advisory', lastTransitionTime: '2026-11-22T12:00:00.000Z' },
  ]);
});

test('the advisory keeps the time at which the date was seen to have passed, and goes with a later date', () => {
  const noted = noteOverdue(past, id, nowMs);
  expect(noteOverdue(noted, id, nowMs + 5_000).conditions).toEqual(noted.conditions);
  expect(noteOverdue({ ...noted, desired: future.desired ?? body }, id, nowMs).conditions).toEqual([]);
  expect(noteOverdue({ ...noted, desired: { ...body, intent: { kind: 'longTerm' } } }, id, nowMs).conditions).toEqual(
    [],
  );
});

test('says nothing before the date, and how long until it', () => {
  expect(noteOverdue(future, id, nowMs)).toBe(future);
  expect(overdueInMs(future.desired?.intent, nowMs)).toBe(10_000);
  expect(overdueInMs(past.desired?.intent, nowMs)).toBeUndefined();
  expect(overdueInMs({ kind: 'longTerm' }, nowMs)).toBeUndefined();
});
