/** What a person may ask of a running migration, and when. */

export type ControlAction = 'approve' | 'pause' | 'resume' | 'rollback' | 'finalize';

export interface ControlRequest {
  readonly action: ControlAction;
  /** Who asked, as the cluster knows them. */
  readonly by: string;
  readonly why?: string;
}

/** What the run waits for, as far as a person can end the wait. */
type Awaited = 'approval' | 'finalize' | 'nothing';

export interface CutoverState {
  readonly awaits: Awaited;
  readonly isPaused: boolean;
  /** Machines leave: there is no way back any more. */
  readonly isFinalizing: boolean;
  readonly isRollbackAsked: boolean;
  /** The last answer of a person, until the run has taken it. */
  readonly decision?: ControlRequest;
}

export const beginning: CutoverState = {
  awaits: 'nothing',
  isPaused: false,
  isFinalizing: false,
  isRollbackAsked: false,
};

/** Waits for a word of a person; an earlier one is no answer to it. */
export function awaiting(
  { isPaused, isFinalizing, isRollbackAsked }: CutoverState,
  awaits: CutoverState['awaits'],
): CutoverState {
  return { awaits, isPaused, isFinalizing, isRollbackAsked };
}

/** Why it does not apply now; undefined where it does. */
export function refusalOf(state: CutoverState, { action }: ControlRequest): string | undefined {
  if (state.isRollbackAsked) return 'The migration is being rolled back';
  switch (action) {
    case 'approve':
      return state.awaits === 'approval' ? undefined : 'The migration waits for no approval now';
    case 'finalize':
      return state.awaits === 'finalize' ? undefined : 'The migration can be finalized after its soak, not before';
    case 'rollback':
      return state.isFinalizing ? 'Machines leave already: the migration only goes forward' : undefined;
    case 'pause':
      if (state.isFinalizing) return 'Machines leave already: the migration only goes forward';
      return state.isPaused ? 'The migration is paused already' : undefined;
    case 'resume':
      return state.isPaused ? undefined : 'The migration is not paused';
  }
}

export function decide(state: CutoverState, asked: ControlRequest): CutoverState {
  switch (asked.action) {
    case 'approve':
    case 'finalize':
      return { ...state, awaits: 'nothing', decision: asked };
    case 'rollback':
      return { ...state, isRollbackAsked: true, decision: asked };
    case 'pause':
      return { ...state, isPaused: true };
    case 'resume':
      return { ...state, isPaused: false };
  }
}
