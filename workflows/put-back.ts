/** How a drain ends that failed or was cancelled before anything was disturbed. */
import type { TemporalFailure } from '@temporalio/workflow';

import type { Compensations } from './compensation.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import type { OperationOutcome } from './messages.ts';
import { endOperation, now } from './operation.ts';
import type { OperationReport } from './operation.ts';
import { drainedCondition } from './plan/drain-terms.ts';

/** What failed before anything was written leaves nothing to put back. */
export async function putBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  id: string,
  fence: number,
): Promise<OperationOutcome> {
  const isStopped = isStopAsked(error);
  const { message: cause } = explainFailure(error);
  if (undo.isEmpty) {
    const phase = isStopped ? 'Cancelled' : 'Failed';
    const message = isStopped ? `${cause}; nothing was touched` : `Nothing was touched: ${cause}`;
    return endOperation(report.finish(phase, message, 'Correct this and repeat the request'), {
      fence,
      leftBehind: false,
    });
  }
  report.goForwardOnly();
  report.waitFor(`${id} to be put back into service`);
  const { steps, left } = await undo.run((failed) => explainFailure(failed).message);
  report.undone(steps);
  if (left.length > 0) {
    const message = `${cause}; could not undo: ${left.join('; ')}`;
    report.setConditions([drainedCondition('PutBackFailed', message, now())]);
    return endOperation(report.finish('Failed', message, `POST .../undrain puts ${id} back once it answers`), {
      fence,
      leftBehind: false,
      isDrained: true,
    });
  }
  const phase = isStopped ? 'Cancelled' : 'RolledBack';
  return endOperation(
    report.finish(phase, `${cause}; ${id} is back in service`, 'Correct this and repeat the request'),
    {
      fence,
      leftBehind: false,
      isDrained: false,
    },
  );
}
