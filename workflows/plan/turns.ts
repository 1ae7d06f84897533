/** How a machine's state changes when one of its operations begins and when it ends. */
import type { OperationPhase } from '../../api/schemas/operation.ts';
import type { OperationOutcome } from '../messages.ts';
import { keepTransitions } from './conditions.ts';
import { newMachine, OPERATIONS_KEPT, pinHostKey } from './machine-state.ts';
import type { MachineState, QueuedOperation } from './machine-state.ts';

/** Gives the turn to the operation that waits longest. */
export function beginNext(state: MachineState): MachineState {
  const [current, ...queue] = state.queue;
  if (current === undefined) return state;
  if (current.verb === 'offboard') return { ...state, current, queue, phase: 'Offboarding' };
  return {
    ...state,
    current,
    queue,
    phase: state.isPresent ? state.phase : 'Onboarding',
    desired: state.isPresent && state.desired ? state.desired : current.body,
    desiredDigest: current.bodyDigest,
  };
}

/** What is told of an operation that ended without a word (terminated, or timed out): nobody knows what it left. */
export function outcomeOfLost({ operationId, verb }: QueuedOperation, machine: string, why: string): OperationOutcome {
  const [namespace = '', name = ''] = machine.split('/');
  const message = `Operation ${operationId} ended without its outcome (${why}); DELETE ${machine} to take away what it left`;
  return {
    operationId,
    operation: {
      id: operationId,
      verb,
      target: { namespace, name },
      phase: 'Failed',
      steps: [],
      conditions: [],
      message,
    },
    fence: 0,
    leftBehind: true,
  };
}

/** Folds what an operation did and learned into the state. */
export function applyOutcome(state: MachineState, outcome: OperationOutcome, endedAt: string): MachineState {
  const { current, ...rest } = state;
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
    phase: phaseAfter(state, operation.verb, operation.phase, isPresent),
    ...(rest.desired
      ? { desired: { ...rest.desired, host: pinHostKey(rest.desired.host, outcome.pinnedHostKey) } }
      : {}),
    ...(outcome.fence > 0 ? { fence: outcome.fence } : {}),
    conditions: keepTransitions(state.conditions, outcome.machine?.conditions ?? operation.conditions),
    proxy: isPresent ? (outcome.machine?.proxy ?? state.proxy) : newMachine.proxy,
    // What was placed by an earlier operation (the token) is still there.
    identity: isPresent ? { ...state.identity, ...outcome.machine?.identity } : newMachine.identity,
    lastOperations: [summary, ...state.lastOperations].slice(0, OPERATIONS_KEPT),
  };
}

function isPresentAfter(state: MachineState, { operation, leftBehind }: OperationOutcome): boolean {
  if (operation.verb === 'offboard') return operation.phase !== 'Succeeded';
  return operation.phase === 'Succeeded' || state.isPresent || leftBehind;
}

function phaseAfter(
  state: MachineState,
  verb: 'onboard' | 'offboard',
  phase: OperationPhase,
  isPresent: boolean,
): MachineState['phase'] {
  if (phase === 'Succeeded') return verb === 'onboard' ? 'InMesh' : 'Offboarded';
  // A repeat that failed on a member leaves it the member it was.
  if (verb === 'onboard' && isPresent && state.phase === 'InMesh') return 'InMesh';
  // An offboarding that was undone leaves the machine serving.
  if (verb === 'offboard' && phase !== 'Failed') return 'InMesh';
  return 'Failed';
}
