/** What a failure means: why it came, in the words of the activity that failed, and whether it came because of a cancel request. */
import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/common';
import { CancellationScope, isCancellation } from '@temporalio/workflow';

import type { FactFailure } from './plan/plan-input.ts';

/** The operation was asked to stop: what fails after that ends it as asked, not as a fault. */
export function isStopAsked(error?: unknown): boolean {
  return isCancellation(error) || CancellationScope.current().consideredCancelled;
}

/** Type and message of what an activity failed with; a cut-off wait is told by its last failure where there is one. */
export function explainFailure(error: unknown): FactFailure {
  if (isCancellation(error)) return { type: 'Cancelled', message: 'Cancelled on request' };
  let timedOut: string | undefined;
  let root = error;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplicationFailure) return { type: cause.type ?? 'Unknown', message: cause.message };
    if (cause instanceof TimeoutFailure) timedOut = cause.timeoutType;
    root = cause;
  }
  if (timedOut !== undefined) {
    const activity = error instanceof ActivityFailure ? error.activityType : 'The step';
    return { type: 'TimedOut', message: `${activity} did not answer in time (${timedOut})` };
  }
  return { type: 'Unknown', message: root instanceof Error ? root.message : String(root) };
}
