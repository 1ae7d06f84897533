/** How a drain ends that failed or was cancelled before anything was disturbed. */
import type { TemporalFailure } from '@temporalio/workflow';

import type { Compensations } from './compensation.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import type { OperationOutcome } from './messages.ts';
import { endOperation, now } from './operation.ts';
import type { OperationReport } from './operation.ts';
import { drainedCondition } from './plan/drain-terms.ts';
import { takeBack } from './take-back.ts';

/** What failed before anything was written leaves nothing to put back. */
export async function putBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  id: string,
  fence: number,
): Promise<OperationOutcome> {
  if (undo.isEmpty) {
    const isStopped = isStopAsked(error);
    const { message: cause } = explainFailure(error);
    const phase = isStopped ? 'Cancelled' : 'Failed';
    const message = isStopped ? `${cause}; nothing was touched` : `Nothing was touched: ${cause}`;
    return endOperation(report.finish(phase, message, 'Correct this and repeat the request'), {
      fence,
      leftBehind: false,
    });
  }
  const { cause, left, end } = await takeBack(report, undo, error, `${id} to be put back into service`);
  if (left.length > 0) {
    const message = `${cause}; could not undo: ${left.join('; ')}`;
    report.setConditions([drainedCondition('PutBackFailed', message, now())]);
    return endOperation(report.finish(end, message, `POST .../undrain puts ${id} back once it answers`), {
      fence,
      leftBehind: false,
      isDrained: true,
    });
  }
  const operation = report.finish(end, `${cause}; ${id} is back in service`, 'Correct this and repeat the request');
  return endOperation(operation, { fence, leftBehind: false, isDrained: false });
}
