/**
 * A machine's life as an operator sees it: what stands, what was accepted, what has ended. Each happening is done to the entity's
 * state as the entity does it, and what must be true is checked after it.
 */
import { deepStrictEqual, equal, ok, partialDeepStrictEqual } from 'node:assert/strict';

import fc from 'fast-check';

import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { OperateRequest, OperationOutcome } from '../../workflows/messages.ts';
import {
  accept,
  admitOffboard,
  admitOnboard,
  admitOperate,
  KEY_LIFETIME_MS,
  QUEUE_LIMIT,
} from '../../workflows/plan/admission.ts';
import type { Admission } from '../../workflows/plan/admission.ts';
import { isMember, newMachine, OPERATIONS_KEPT, toMachine } from '../../workflows/plan/machine-state.ts';
import type { MachineState } from '../../workflows/plan/machine-state.ts';
import { patchMachine } from '../../workflows/plan/patch-machine.ts';
import { applyOutcome, beginNext, outcomeOfLost, refuseOther } from '../../workflows/plan/turns.ts';
import { request as body } from './facts.ts';

const id = `${body.namespace}/${body.name}`;
export const bodies: readonly OnboardMachine[] = [body, { ...body, workloadGroup: 'another' }];
const verbs = ['enforce', 'drain', 'undrain', 'restart-proxy'] as const;
const ends = ['Succeeded', 'Failed', 'FailedLeaving', 'RolledBack', 'Cancelled', 'Lost'] as const;
type End = (typeof ends)[number];

type Ask =
  | { readonly kind: 'onboard'; readonly body: number; readonly key: number | undefined }
  | { readonly kind: 'offboard'; readonly force: boolean; readonly key: number | undefined }
  | { readonly kind: 'operate'; readonly verb: (typeof verbs)[number]; readonly key: number | undefined };
export type Happening =
  | Ask
  | { readonly kind: 'patch'; readonly floor: number; readonly stale: boolean }
  | { readonly kind: 'turn' }
  | { readonly kind: 'end'; readonly how: End }
  | { readonly kind: 'again' }
  | { readonly kind: 'hours'; readonly hours: number };

const key = fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined });
export const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ kind: fc.constant('onboard' as const), body: fc.integer({ min: 0, max: 1 }), key }),
  fc.record({ kind: fc.constant('offboard' as const), force: fc.boolean(), key }),
  fc.record({ kind: fc.constant('operate' as const), verb: fc.constantFrom(...verbs), key }),
  fc.record({ kind: fc.constant('patch' as const), floor: fc.integer({ min: 0, max: 3 }), stale: fc.boolean() }),
  fc.constant({ kind: 'turn' as const }),
  fc.record({ kind: fc.constant('end' as const), how: fc.constantFrom(...ends) }),
  fc.constant({ kind: 'again' as const }),
  fc.record({ kind: fc.constant('hours' as const), hours: fc.integer({ min: 1, max: 30 }) }),
);

/** The world as an operator sees it, beside the entity's state. */
export class World {
  state: MachineState = newMachine;
  nowMs = 0;
  /** Something of Meshlift stands, or may stand. */
  stands = false;
  readonly accepted: string[] = [];
  readonly ended: string[] = [];
  private readonly keys = new Map<string, { digest: string; operationId: string; atMs: number }>();
  private last: OperationOutcome | undefined;

  ask(asked: Ask): void {
    const operationId = `${asked.kind}-${this.accepted.length}-${this.nowMs}`;
    const digest = JSON.stringify({ ...asked, key: undefined });
    const idempotencyKey = asked.key === undefined ? undefined : `key-${asked.key}`;
    const common = { operationId, bodyDigest: digest, ...(idempotencyKey === undefined ? {} : { idempotencyKey }) };
    const admission = this.admit(asked, common);
    this.checkKey(idempotencyKey, digest, admission);
    if (admission.kind === 'Refuse') {
      // Whoever stands can always be taken away.
      if (asked.kind === 'offboard' && admission.type === 'MachineNotFound') equal(this.stands, false);
      return;
    }
    this.state = accept(this.state, admission, common, this.nowMs);
    if (admission.kind === 'Enqueue') this.accepted.push(operationId);
    else ok(this.accepted.includes(admission.operationId));
    const answer = admission.kind === 'Enqueue' ? operationId : admission.operationId;
    if (idempotencyKey !== undefined && !this.isLive(idempotencyKey)) {
      this.keys.set(idempotencyKey, { digest, operationId: answer, atMs: this.nowMs });
    }
  }

  private admit(asked: Ask, common: { operationId: string; bodyDigest: string; idempotencyKey?: string }): Admission {
    switch (asked.kind) {
      case 'onboard':
        return admitOnboard(this.state, { ...common, body: bodies[asked.body] ?? body }, this.nowMs);
      case 'offboard':
        return admitOffboard(this.state, { ...common, force: asked.force }, id, this.nowMs);
      case 'operate': {
        const request = { ...common, verb: asked.verb, body: asked.verb === 'enforce' ? { mode: 'enforce' } : {} };
        return admitOperate(this.state, request as OperateRequest, id, this.nowMs);
      }
    }
  }

  private isLive(idempotencyKey: string): boolean {
    const known = this.keys.get(idempotencyKey);
    return known !== undefined && this.nowMs - known.atMs < KEY_LIFETIME_MS;
  }

  /** A key that was used within 24 h answers as it did, or refuses another body. */
  private checkKey(idempotencyKey: string | undefined, digest: string, admission: Admission): void {
    if (idempotencyKey === undefined || !this.isLive(idempotencyKey)) return;
    const known = this.keys.get(idempotencyKey);
    partialDeepStrictEqual(
      admission,
      known?.digest === digest
        ? { kind: 'Same', operationId: known.operationId }
        : { kind: 'Refuse', type: 'IdempotencyKeyReused' },
    );
  }

  patch(floor: number, isStale: boolean): void {
    const { version } = this.state;
    const patched = patchMachine(this.state, { patch: { floor }, ifVersion: isStale ? version + 1 : version }, id);
    if (patched.kind === 'Refuse') {
      ok(isStale || !this.stands);
      return;
    }
    this.state = patched.state;
    equal(this.state.desired?.floor, floor);
  }

  /** As the entity's loop: one at a time, and what cannot be done any more is refused untouched. */
  turn(): void {
    if (this.state.current !== undefined || this.state.queue.length === 0) return;
    this.state = beginNext(this.state);
    const { current } = this.state;
    if (current === undefined) throw new Error('Nothing began');
    const refused = refuseOther(this.state, current, id);
    if (refused === undefined) {
      // Only an onboarding begins on what is no member, and only for what is desired.
      if (current.verb !== 'onboard' && current.verb !== 'offboard') ok(isMember(this.state));
      if (current.verb === 'onboard') equal(this.state.desiredDigest, current.bodyDigest);
      return;
    }
    partialDeepStrictEqual(refused, { leftBehind: false, operation: { phase: 'Failed' } });
    this.fold(refused);
  }

  end(how: End): void {
    const { current } = this.state;
    if (current === undefined) return;
    const { operationId, verb } = current;
    const isDone = how === 'Succeeded';
    const leaves = how === 'FailedLeaving' || how === 'Lost';
    const phase = how === 'FailedLeaving' || how === 'Lost' ? 'Failed' : how;
    const target = { namespace: body.namespace, name: body.name };
    const learned: OperationOutcome = {
      operationId,
      operation: { id: operationId, verb, target, phase, steps: [], conditions: [], message: how },
      fence: (this.state.fence ?? 0) + 1,
      leftBehind: leaves,
      ...(isDone && verb === 'enforce' ? { enforcement: 'enforce' as const } : {}),
      ...(isDone && verb === 'drain' ? { isDrained: true } : {}),
      ...(isDone && verb === 'undrain' ? { isDrained: false } : {}),
    };
    if (verb === 'onboard') this.stands ||= isDone || leaves;
    if (verb === 'offboard') this.stands = !isDone && (this.stands || leaves);
    this.fold(how === 'Lost' ? outcomeOfLost(current, id, how) : learned);
  }

  /** The signal of an operation that ended before comes once more. */
  again(): void {
    if (this.last === undefined) return;
    const before = this.state;
    this.state = applyOutcome(this.state, this.last, 'late');
    equal(this.state, before);
  }

  private fold(outcome: OperationOutcome): void {
    this.last = outcome;
    this.ended.push(outcome.operationId);
    this.state = applyOutcome(this.state, outcome, new Date(this.nowMs).toISOString());
    equal(this.state.current, undefined);
    equal(this.state.lastOperations[0]?.id, outcome.operationId);
  }

  /** What is true at any moment. */
  check(before: MachineState): void {
    const { state, accepted, ended, stands } = this;
    const { phase, current, queue, isPresent, isDrained, enforcement, lastOperations } = state;
    // Each accepted operation has its turn once, in the order in which they were accepted.
    const open = [...(current ? [current] : []), ...queue].map(({ operationId }) => operationId);
    deepStrictEqual([...ended, ...open], accepted);
    ok(queue.length <= QUEUE_LIMIT);
    equal(isPresent, stands);
    equal(phase === 'Offboarding', current?.verb === 'offboard');
    if (isMember(state))
      deepStrictEqual({ isPresent, phase }, { isPresent: true, phase: isDrained ? 'Drained' : 'InMesh' });
    if (phase === 'Offboarded') ok(!isPresent);
    if (!isPresent) deepStrictEqual({ isDrained, enforcement }, { isDrained: false, enforcement: 'observe' });
    // What stands is never silently given another specification.
    if (before.isPresent && isPresent) equal(state.desiredDigest, before.desiredDigest);
    ok(state.version >= before.version);
    ok((state.fence ?? 0) >= (before.fence ?? 0));
    ok(lastOperations.length <= OPERATIONS_KEPT);
    const view = toMachine(body.namespace, body.name, state);
    equal(view === undefined, accepted.length === 0);
    const told = [...open.toReversed(), ...lastOperations.map((one) => one.id)];
    deepStrictEqual(view?.lastOperations.map((one) => one.id) ?? [], told);
  }
}

export function live(world: World, happened: Happening): void {
  const before = world.state;
  switch (happened.kind) {
    case 'patch':
      world.patch(happened.floor, happened.stale);
      break;
    case 'turn':
      world.turn();
      break;
    case 'end':
      world.end(happened.how);
      break;
    case 'again':
      world.again();
      break;
    case 'hours':
      world.nowMs += happened.hours * 3_600_000;
      break;
    case 'onboard':
    case 'offboard':
    case 'operate':
      world.ask(happened);
      break;
  }
  world.check(before);
}
