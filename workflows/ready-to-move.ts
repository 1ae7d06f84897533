/** What has to be known before a member is taken out of service or put back; where it is not, nothing is touched. */
import type { OnboardMachine } from '../api/schemas/machine.ts';
import type { Drained } from './draining.ts';
import type { MemberState, OperationOutcome, Waits } from './messages.ts';
import { endOperation, now } from './operation.ts';
import type { OperationReport } from './operation.ts';
import { blocking } from './plan/conditions.ts';
import { registeredAddress } from './plan/evidence.ts';
import { isDecidable } from './plan/plan-input.ts';
import type { DecidableInput } from './plan/plan-input.ts';
import { readConditions } from './plan/read-checks.ts';
import { readFacts } from './read-facts.ts';

interface Given {
  readonly body: OnboardMachine;
  readonly member: MemberState;
  readonly fence?: number;
}

type Found =
  | { readonly isReady: true; readonly input: DecidableInput; readonly target: Drained }
  | { readonly isReady: false; readonly end: (isDrained?: boolean) => Promise<OperationOutcome> };

export async function readyToMove(report: OperationReport, given: Given, waits: Required<Waits>): Promise<Found> {
  const { namespace, name } = given.body;
  const id = `${namespace}/${name}`;
  report.waitFor(`facts of ${id} and its cluster`);
  const { input } = await readFacts(given.body, true, waits);
  const conditions = readConditions(input, now());
  const faults = blocking(conditions);
  if (faults.length > 0 || !isDecidable(input)) {
    report.setConditions(conditions);
    const { render } = input.failures;
    const why = [...faults.map(({ message }) => message), ...(render ? [render.message] : [])];
    const operation = report.finish(
      'Failed',
      `Nothing was touched: ${why.join('; ')}`,
      'Correct this and repeat the request',
    );
    const end = (isDrained?: boolean): Promise<OperationOutcome> =>
      endOperation(operation, { fence: 0, leftBehind: false, ...(isDrained === undefined ? {} : { isDrained }) });
    return { isReady: false, end };
  }
  const { request, machine } = input;
  const fence = Math.max(given.fence ?? 1, machine.journal.fence + 1);
  const target = { body: request, address: registeredAddress(request, machine), member: given.member, fence };
  return { isReady: true, input, target };
}
