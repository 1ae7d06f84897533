/** The terms on which a machine is taken out of service, and what that is expected to cost. */
import type { Condition } from '../../api/schemas/common.ts';
import type { DrainMachine } from '../../api/schemas/verbs.ts';

export interface DrainTerms {
  readonly allowDisruption: boolean;
  readonly allowUnproven: boolean;
  /** For the lease, for the proof and for quiet, each. */
  readonly deadlineMs: number;
  /** A migration has moved its traffic for good; default false. */
  readonly isReplaced?: boolean;
}

const DEFAULT_DEADLINE_SECONDS = 60;

export function drainTerms({ allowDisruption, allowUnproven, deadlineSeconds }: DrainMachine): DrainTerms {
  return {
    allowDisruption: allowDisruption === true,
    allowUnproven: allowUnproven === true,
    deadlineMs: (deadlineSeconds ?? DEFAULT_DEADLINE_SECONDS) * 1_000,
  };
}

/** Measured on two cores: proof 3 to 5 s, restart 3 s, return 3 to 8 s. */
const LEAST_GAP_SECONDS = 8;
const MOST_OWN_SECONDS = 30;

/** A Service without an endpoint waits for proof, for what still goes on up to the deadline, for the restart and for the return. */
export function predictedGap({ deadlineMs }: DrainTerms): { least: number; most: number } {
  return { least: LEAST_GAP_SECONDS, most: MOST_OWN_SECONDS + deadlineMs / 1_000 };
}

/** Out of load balancing: `why` says what keeps it there. */
export function drainedCondition(reason: string, message: string, now: string): Condition {
  return { type: 'Drained', status: 'True', category: 'Warning', reason, message, lastTransitionTime: now };
}
