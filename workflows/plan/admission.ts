/** Whether a machine's entity takes on a request, answers it with an operation it has already, or refuses it. */
import type { OffboardRequest, OnboardRequest, Operate, OperateRequest, OperationRequest } from '../messages.ts';
import { isMember } from './machine-state.ts';
import type { MachineState, QueuedOperation } from './machine-state.ts';

type Refusal =
  'MachineExists' | 'MachineNotFound' | 'MachineNotInMesh' | 'IdempotencyKeyReused' | 'MachineBusy' | 'MachineClaimed';

export type Admission =
  | { readonly kind: 'Enqueue'; readonly operation: QueuedOperation }
  | { readonly kind: 'Same'; readonly operationId: string }
  | { readonly kind: 'Refuse'; readonly type: Refusal; readonly message: string };

/** How long an Idempotency-Key is remembered. */
export const KEY_LIFETIME_MS = 24 * 60 * 60 * 1000;
/** Keys that one machine remembers; the oldest beyond these are forgotten early. */
export const KEYS_KEPT = 200;
/** Accepted operations that may wait for their turn. */
export const QUEUE_LIMIT = 8;

const same = (operationId: string): Admission => ({ kind: 'Same', operationId });
const refuse = (type: Refusal, message: string): Admission => ({ kind: 'Refuse', type, message });

/** Onboards, unless the machine is there with another body; an equal request in flight is answered with its operation. */
export function admitOnboard(state: MachineState, request: OnboardRequest, nowMs: number): Admission {
  const { namespace, name } = request.body;
  const seen = admitByKey(state, request, nowMs);
  if (seen) return seen;
  const last = lastAccepted(state);
  if (last?.verb !== 'offboard' && (last !== undefined || state.isPresent)) {
    // A verb on a member changes nothing of what it was onboarded with.
    const digest = last?.verb === 'onboard' ? last.bodyDigest : state.desiredDigest;
    if (digest !== request.bodyDigest) {
      return refuse(
        'MachineExists',
        `Machine ${namespace}/${name} is there with another specification; DELETE it first, then onboard it anew`,
      );
    }
    if (last?.verb === 'onboard') return same(last.operationId);
  }
  const { operationId, bodyDigest, body } = request;
  return enqueue(state, `${namespace}/${name}`, { verb: 'onboard', operationId, bodyDigest, body });
}

/** Offboards what is there; an offboarding in flight answers the request. */
export function admitOffboard(
  state: MachineState,
  request: OffboardRequest,
  machine: string,
  nowMs: number,
): Admission {
  const seen = admitByKey(state, request, nowMs);
  if (seen) return seen;
  const last = lastAccepted(state);
  if (last?.verb === 'offboard' && (last.force ?? false) === (request.force ?? false)) return same(last.operationId);
  if (last === undefined && !state.isPresent) {
    return refuse('MachineNotFound', `Machine ${machine} is not in the mesh; there is nothing to offboard`);
  }
  const { operationId, bodyDigest, force, migration } = request;
  // By force it leaves whoever has it: of a machine that is lost nothing else is left to do.
  const isFree = state.claimedBy === undefined || state.claimedBy === migration || force === true;
  if (!isFree) return refuseClaimed(state, machine);
  return enqueue(state, machine, {
    ...{ verb: 'offboard', operationId, bodyDigest },
    ...(force === true ? { force } : {}),
    ...(migration === undefined ? {} : { migration }),
  });
}

/** A migration may claim a machine that is in the mesh and that no other one has. */
export function admitClaim(
  state: MachineState,
  by: string,
  machine: string,
): Extract<Admission, { kind: 'Refuse' }> | undefined {
  if (state.claimedBy !== undefined && state.claimedBy !== by) return refuseClaimed(state, machine);
  if (isMember(state)) return undefined;
  return {
    kind: 'Refuse',
    type: 'MachineNotInMesh',
    message: `Machine ${machine} is ${state.phase}, not in the mesh; onboard it first`,
  };
}

function refuseClaimed({ claimedBy = '' }: MachineState, machine: string): Extract<Admission, { kind: 'Refuse' }> {
  const message = `Machine ${machine} belongs to operation ${claimedBy}; wait for its end, or roll it back: POST /v1/operations/${claimedBy}/rollback`;
  return { kind: 'Refuse', type: 'MachineClaimed', message };
}

/** A verb on a member, or on a machine that is about to be one; an equal request in flight is answered with its operation. */
export function admitOperate(state: MachineState, request: OperateRequest, machine: string, nowMs: number): Admission {
  const seen = admitByKey(state, request, nowMs);
  if (seen) return seen;
  const last = lastAccepted(state);
  if (last?.verb === request.verb && last.bodyDigest === request.bodyDigest) return same(last.operationId);
  if (last?.verb === 'offboard') {
    return refuse('MachineNotInMesh', `Machine ${machine} is leaving the mesh by operation ${last.operationId}`);
  }
  if (last === undefined && !isMember(state)) {
    if (!state.isPresent) return refuse('MachineNotFound', `Machine ${machine} is not in the mesh`);
    const why = `Machine ${machine} is ${state.phase}, not in the mesh; onboard it again or DELETE it`;
    return refuse('MachineNotInMesh', why);
  }
  const { operationId, bodyDigest } = request;
  return enqueue(state, machine, { operationId, bodyDigest, ...operateOf(request) });
}

/** Verb and body alone: what else a request carries is not kept. */
function operateOf(request: Operate): Operate {
  switch (request.verb) {
    case 'enforce':
      return { verb: request.verb, body: request.body };
    case 'drain':
    case 'restart-proxy':
      return { verb: request.verb, body: request.body };
    case 'undrain':
      return { verb: request.verb, body: request.body };
  }
}

/** The state after an admission: the operation queued, the key remembered, keys past their lifetime dropped. */
export function accept(
  state: MachineState,
  admission: Exclude<Admission, { kind: 'Refuse' }>,
  request: OperationRequest,
  nowMs: number,
): MachineState {
  const operationId = admission.kind === 'Enqueue' ? admission.operation.operationId : admission.operationId;
  const { idempotencyKey: key, bodyDigest } = request;
  const living = livingKeys(state, nowMs);
  const keys =
    key === undefined || living.some((seen) => seen.key === key)
      ? living
      : [...living, { key, bodyDigest, operationId, atMs: nowMs }].slice(-KEYS_KEPT);
  if (admission.kind === 'Same') return { ...state, keys };
  const first = state.desired === undefined && admission.operation.verb === 'onboard' ? admission.operation : undefined;
  return {
    ...state,
    keys,
    queue: [...state.queue, admission.operation],
    ...(first ? { desired: first.body, desiredDigest: first.bodyDigest } : {}),
  };
}

function enqueue(state: MachineState, machine: string, operation: QueuedOperation): Admission {
  if (state.queue.length >= QUEUE_LIMIT) {
    return refuse(
      'MachineBusy',
      `Machine ${machine} has ${QUEUE_LIMIT} operations waiting; repeat when some have ended`,
    );
  }
  return { kind: 'Enqueue', operation };
}

function admitByKey(state: MachineState, request: OperationRequest, nowMs: number): Admission | undefined {
  const seen = livingKeys(state, nowMs).find(({ key }) => key === request.idempotencyKey);
  if (!seen) return undefined;
  return seen.bodyDigest === request.bodyDigest
    ? same(seen.operationId)
    : refuse(
        'IdempotencyKeyReused',
        `Idempotency-Key ${seen.key} was used within 24 h for another request (operation ${seen.operationId}); use a new key`,
      );
}

/** How long the entity must stay to know its last key; 0 where it remembers none. */
export function keysLiveForMs(state: MachineState, nowMs: number): number {
  return Math.max(0, ...livingKeys(state, nowMs).map(({ atMs }) => atMs + KEY_LIFETIME_MS - nowMs));
}

function livingKeys(state: MachineState, nowMs: number) {
  return state.keys.filter(({ atMs }) => nowMs - atMs < KEY_LIFETIME_MS);
}

function lastAccepted(state: MachineState): QueuedOperation | undefined {
  return state.queue.at(-1) ?? state.current;
}
