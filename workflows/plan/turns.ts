/** How a machine's state changes when one of its operations begins and when it ends. */
import type { OperationOutcome } from '../messages.ts';
import { keepTransitions } from './conditions.ts';
import { isMember, newMachine, OPERATIONS_KEPT, pinHostKey } from './machine-state.ts';
import type { MachineState, QueuedOperation } from './machine-state.ts';

/** Gives the turn to the operation that waits longest. */
export function beginNext(state: MachineState): MachineState {
  const [current, ...queue] = state.queue;
  if (current === undefined) return state;
  if (current.verb === 'offboard') return { ...state, current, queue, phase: 'Offboarding', before: state.phase };
  if (current.verb !== 'onboard') return { ...state, current, queue };
  return {
    ...state,
    current,
    queue,
    phase: state.isPresent ? state.phase : 'Onboarding',
    ...(state.isPresent && state.desired ? {} : { desired: current.body, desiredDigest: current.bodyDigest }),
  };
}

/** What is told of an operation that ended without a word (terminated, or timed out): nobody knows what it left. */
export function outcomeOfLost(lost: QueuedOperation, machine: string, why: string): OperationOutcome {
  const message = `Operation ${lost.operationId} ended without its outcome (${why}); DELETE ${machine} to take away what it left`;
  return failed(lost, machine, message, true);
}

/**
 * What was accepted behind an operation that then ended otherwise: an onboarding with another body after an offboarding that did
 * not succeed, a verb on a machine that did not become a member.
 */
export function refuseOther(
  state: MachineState,
  current: QueuedOperation,
  machine: string,
): OperationOutcome | undefined {
  if (current.verb === 'offboard') return undefined;
  if (current.verb !== 'onboard') {
    if (isMember(state)) return undefined;
    return failed(current, machine, `Nothing was touched: ${machine} is ${state.phase}, not in the mesh`, false);
  }
  if (current.bodyDigest === state.desiredDigest) return undefined;
  const message = `Nothing was touched: ${machine} is still there with another specification, as the DELETE before did not succeed; DELETE it again, then onboard it anew`;
  return failed(current, machine, message, false);
}

function failed(
  { operationId, verb }: QueuedOperation,
  machine: string,
  message: string,
  leftBehind: boolean,
): OperationOutcome {
  const [namespace = '', name = ''] = machine.split('/');
  const target = { namespace, name };
  return {
    operationId,
    operation: { id: operationId, verb, target, phase: 'Failed', steps: [], conditions: [], message },
    fence: 0,
    leftBehind,
  };
}

/** Folds what an operation did and learned into the state. */
export function applyOutcome(state: MachineState, outcome: OperationOutcome, endedAt: string): MachineState {
  const { current, before, ...rest } = state;
  if (current?.operationId !== outcome.operationId) return state;
  const { operation } = outcome;
  const summary = {
    id: outcome.operationId,
    verb: operation.verb,
    phase: operation.phase,
    endedAt,
    ...(operation.message === undefined ? {} : { message: operation.message }),
  };
  const isPresent = isPresentAfter(state, outcome);
  const isDrained = isPresent && (outcome.isDrained ?? state.isDrained);
  return {
    ...rest,
    isPresent,
    isDrained,
    enforcement: isPresent ? (outcome.enforcement ?? state.enforcement) : newMachine.enforcement,
    phase: phaseAfter({ ...state, isPresent, isDrained }, outcome, current, before),
    ...(rest.desired
      ? { desired: { ...rest.desired, host: pinHostKey(rest.desired.host, outcome.pinnedHostKey) } }
      : {}),
    ...(outcome.fence > 0 ? { fence: outcome.fence } : {}),
    conditions: conditionsAfter(state, outcome, isPresent),
    proxy: isPresent ? (outcome.machine?.proxy ?? state.proxy) : newMachine.proxy,
    // What was placed by an earlier operation (the token) is still there.
    identity: isPresent ? { ...state.identity, ...outcome.machine?.identity } : newMachine.identity,
    lastOperations: [summary, ...state.lastOperations].slice(0, OPERATIONS_KEPT),
  };
}

/** What stays keeps what was known of it beside what the operation found: an unsuccessful one, or a drain, looks at less. */
function conditionsAfter(state: MachineState, { machine, operation }: OperationOutcome, isPresent: boolean) {
  const found = keepTransitions(state.conditions, machine?.conditions ?? operation.conditions);
  const looksAtAll = operation.phase === 'Succeeded' && operation.verb !== 'drain';
  if (!isPresent || looksAtAll) return found;
  return [...found, ...state.conditions.filter(({ type }) => !found.some((condition) => condition.type === type))];
}

/** What never stood and was not touched is not there, however its operation ended. */
function isPresentAfter(state: MachineState, { operation, leftBehind }: OperationOutcome): boolean {
  const isDone = operation.phase === 'Succeeded';
  if (operation.verb === 'offboard') return !isDone && (state.isPresent || leftBehind);
  if (operation.verb !== 'onboard') return state.isPresent;
  return isDone || state.isPresent || leftBehind;
}

function phaseAfter(
  state: MachineState,
  { operation: { verb, phase }, leftBehind }: OperationOutcome,
  asked: QueuedOperation,
  before: MachineState['phase'] | undefined,
): MachineState['phase'] {
  const memberPhase = state.isDrained ? 'Drained' : 'InMesh';
  if (verb === 'offboard') {
    // An offboarding that touched nothing, or was undone, leaves the machine what it was.
    if (phase === 'Succeeded') return isMigration(asked) ? 'Migrated' : 'Offboarded';
    return leftBehind ? 'Failed' : (before ?? 'Failed');
  }
  // What fails on a member leaves it the member it was.
  if (verb !== 'onboard') return isMember(state) ? memberPhase : state.phase;
  return phase === 'Succeeded' || (state.isPresent && isMember(state)) ? memberPhase : 'Failed';
}

const isMigration = (asked: QueuedOperation): boolean => asked.verb === 'offboard' && asked.migration !== undefined;
