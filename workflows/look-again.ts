/** A wait runs on while no worker is there to look: one that ended so is no finding, and gets one more look. */
import { ActivityFailure, isCancellation, TemporalFailure, TimeoutFailure } from '@temporalio/workflow';

import { explainFailure } from './explain-failure.ts';

/** Temporal tells of a wait's end at once; a worker that hears of it later than this was away. */
const HEARD_WITHIN_MS = 5_000;

/** Whether a look found what it looks for; one that was cancelled has no answer. */
export async function isSeen(look: () => Promise<unknown>): Promise<boolean> {
  try {
    await look();
    return true;
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
    return false;
  }
}

/** Runs a read that waits for `totalMs`; once more, by `lastLook` or with a fresh wait, where nobody could look. */
export async function lookAgain<T>(totalMs: number, look: () => Promise<T>, lastLook = look): Promise<T> {
  const startedAt = Date.now();
  try {
    return await look();
  } catch (error) {
    if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
    const hasTimedOut = error instanceof ActivityFailure && error.cause instanceof TimeoutFailure;
    const wasAway = hasTimedOut && Date.now() - startedAt > totalMs + HEARD_WITHIN_MS;
    // No attempt said why: `TimedOut` is the word for that.
    if (!wasAway && explainFailure(error).type !== 'TimedOut') throw error;
    return lastLook();
  }
}
