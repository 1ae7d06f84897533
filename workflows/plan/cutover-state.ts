/** What a person may ask of a running migration, and when. */

export type ControlAction = 'approve' | 'pause' | 'resume' | 'rollback' | 'finalize';

export interface ControlRequest {
  readonly action: ControlAction;
  /** Who asked, as the cluster knows them. */
  readonly by: string;
  readonly why?: string;
  /** Of an approval: the weight that is meant; absent: the one that waits. */
  readonly weight?: number;
  /** Of the caller: the same one again is heard once. */
  readonly idempotencyKey?: string;
  /** Of action, reason and weight. */
  readonly bodyDigest: string;
}

interface Refusal {
  readonly type: 'ControlNotApplicable' | 'IdempotencyKeyReused';
  readonly message: string;
}

/** What the run waits for, as far as a person can end the wait. */
type Awaited = 'approval' | 'finalize' | 'nothing';

export interface CutoverState {
  readonly awaits: Awaited;
  /** That an approval is waited for. */
  readonly weight?: number;
  readonly isPaused: boolean;
  /** Machines leave: there is no way back any more. */
  readonly isFinalizing: boolean;
  readonly isRollbackAsked: boolean;
  /** The last answer of a person, until the run has taken it. */
  readonly decision?: ControlRequest;
  /** Requests that came with a key. */
  readonly heard: readonly { readonly key: string; readonly bodyDigest: string }[];
}

/** A run is told far fewer things than this. */
const KEYS_KEPT = 100;

export const beginning: CutoverState = {
  awaits: 'nothing',
  isPaused: false,
  isFinalizing: false,
  isRollbackAsked: false,
  heard: [],
};

/** Waits for a word of a person; an earlier one is no answer to it. */
export function awaiting(
  { isPaused, isFinalizing, isRollbackAsked, heard }: CutoverState,
  awaits: CutoverState['awaits'],
  weight?: number,
): CutoverState {
  return { awaits, isPaused, isFinalizing, isRollbackAsked, heard, ...(weight === undefined ? {} : { weight }) };
}

/** Why it is not taken now; undefined where it is, or was before. */
export function refusalOf(state: CutoverState, asked: ControlRequest): Refusal | undefined {
  const before = heardBefore(state, asked);
  if (before !== undefined) {
    if (before.bodyDigest === asked.bodyDigest) return undefined;
    const message = `Idempotency-Key ${before.key} was used for another request to this migration; use a new key`;
    return { type: 'IdempotencyKeyReused', message };
  }
  const message = inapplicable(state, asked);
  return message === undefined ? undefined : { type: 'ControlNotApplicable', message };
}

const heardBefore = ({ heard }: CutoverState, { idempotencyKey }: ControlRequest) =>
  heard.find(({ key }) => key === idempotencyKey);

function inapplicable(state: CutoverState, { action, weight }: ControlRequest): string | undefined {
  if (state.isRollbackAsked) return 'The migration is being rolled back';
  switch (action) {
    case 'approve':
      if (state.awaits !== 'approval') return 'The migration waits for no approval now';
      return weight === undefined || weight === state.weight
        ? undefined
        : `The migration waits for the approval of ${state.weight ?? 0}%, not of ${weight}%`;
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

/** The state after what {@link refusalOf} takes. */
export function decide(given: CutoverState, asked: ControlRequest): CutoverState {
  if (heardBefore(given, asked) !== undefined) return given;
  const { idempotencyKey: key, bodyDigest } = asked;
  const heard = key === undefined ? given.heard : [...given.heard, { key, bodyDigest }].slice(-KEYS_KEPT);
  const state = { ...given, heard };
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
