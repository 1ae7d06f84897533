/** How an operation that failed, or was asked to stop, is taken back. */
import type { TemporalFailure } from '@temporalio/workflow';

import type { Compensations } from './compensation.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import type { OperationReport } from './operation.ts';

export interface TakenBack {
  /** Why it is taken back, in the words of what failed. */
  readonly cause: string;
  /** What could not be undone, and why. */
  readonly left: readonly string[];
  /** `Failed` also where nothing had been done yet. */
  readonly end: 'Cancelled' | 'Failed' | 'RolledBack';
}

/** Undoes what was done, newest first, and reports it; `waitingFor` is what the operation tells meanwhile. */
export async function takeBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  waitingFor: string,
): Promise<TakenBack> {
  const isStopped = isStopAsked(error);
  const { message: cause } = explainFailure(error);
  report.goForwardOnly();
  report.waitFor(waitingFor);
  const { steps, left } = await undo.run((failed) => explainFailure(failed).message);
  report.undone(steps);
  if (left.length > 0) return { cause, left, end: 'Failed' };
  return { cause, left, end: isStopped ? 'Cancelled' : undo.isEmpty ? 'Failed' : 'RolledBack' };
}
