/** How a machine's state changes when one of its operations begins and when it ends. */
import type { OperationOutcome } from '../messages.ts';
import { keepTransitions } from './conditions.ts';
import { newMachine, OPERATIONS_KEPT, pinHostKey } from './machine-state.ts';
import type { MachineState, QueuedOperation } from './machine-state.ts';

/** Gives the turn to the operation that waits longest. */
export function beginNext(state: MachineState): MachineState {
  const [current, ...queue] = state.queue;
  if (current === undefined) return state;
  if (current.verb === 'offboard') return { ...state, current, queue, phase: 'Offboarding', before: state.phase };
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

/** An onboarding with another body was accepted behind an offboarding; where that did not succeed, it cannot be done. */
export function refuseOther(
  state: MachineState,
  current: QueuedOperation,
  machine: string,
): OperationOutcome | undefined {
  if (current.verb === 'offboard' || current.bodyDigest === state.desiredDigest) return undefined;
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
  return {
    ...rest,
    isPresent,
    phase: phaseAfter({ ...state, isPresent }, outcome, before),
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

/** What stays keeps what was known of it beside what the operation found: an unsuccessful one looks at less. */
function conditionsAfter(state: MachineState, { machine, operation }: OperationOutcome, isPresent: boolean) {
  const found = keepTransitions(state.conditions, machine?.conditions ?? operation.conditions);
  if (!isPresent || operation.phase === 'Succeeded') return found;
  return [...found, ...state.conditions.filter(({ type }) => !found.some((condition) => condition.type === type))];
}

/** What never stood and was not touched is not there, however its operation ended. */
function isPresentAfter(state: MachineState, { operation, leftBehind }: OperationOutcome): boolean {
  const isDone = operation.phase === 'Succeeded';
  if (operation.verb === 'offboard') return !isDone && (state.isPresent || leftBehind);
  return isDone || state.isPresent || leftBehind;
}

function phaseAfter(
  state: MachineState,
  { operation: { verb, phase }, leftBehind }: OperationOutcome,
  before: MachineState['phase'] | undefined,
): MachineState['phase'] {
  if (phase === 'Succeeded') return verb === 'onboard' ? 'InMesh' : 'Offboarded';
  // An offboarding that touched nothing, or was undone, leaves the machine what it was.
  if (verb === 'offboard') return leftBehind ? 'Failed' : (before ?? 'Failed');
  // A repeat that failed on a member leaves it the member it was.
  return state.isPresent && state.phase === 'InMesh' ? 'InMesh' : 'Failed';
}
