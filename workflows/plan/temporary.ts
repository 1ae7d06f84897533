/** A machine that was to be in the mesh for a time: when that is over, its advisory says so. */
import type { Condition } from '../../api/schemas/common.ts';
import type { Intent } from '../../api/schemas/machine.ts';
import { keepTransitions } from './conditions.ts';
import { msOf, timeOf } from './instants.ts';
import type { MachineState } from './machine-state.ts';

const TYPE = 'TemporaryOverdue';

/** Milliseconds until the date passes; undefined where there is none, or it has passed. */
export function overdueInMs(intent: Intent | undefined, nowMs: number): number | undefined {
  if (intent?.kind !== 'temporary' || intent.until === undefined) return undefined;
  const leftMs = msOf(intent.until) - nowMs;
  return leftMs > 0 ? leftMs : undefined;
}

/** The state with the advisory where the date has passed, and without it where it has not. */
export function noteOverdue(state: MachineState, machine: string, nowMs: number): MachineState {
  const others = state.conditions.filter(({ type }) => type !== TYPE);
  const intent = state.desired?.intent;
  const hasPassed =
    state.isPresent && intent?.kind === 'temporary' && intent.until !== undefined && msOf(intent.until) <= nowMs;
  if (!hasPassed) return others.length === state.conditions.length ? state : { ...state, conditions: others };
  const overdue: Condition = {
    type: TYPE,
    status: 'True',
    category: 'Advisory',
    reason: 'DatePassed',
    message: `${machine} was to be in the mesh until ${intent.until ?? ''}; migrate its workload, or PATCH its intent`,
    lastTransitionTime: timeOf(nowMs),
  };
  return { ...state, conditions: [...others, ...keepTransitions(state.conditions, [overdue])] };
}
