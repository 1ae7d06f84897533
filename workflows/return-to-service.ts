/** The way back into service, each step on evidence (protocols 3, step 6). */
import { ApplicationFailure } from '@temporalio/workflow';

import { changeHost } from './activity-proxies.ts';
import type { Draining } from './draining.ts';
import { seeMember, VERIFY_STEPS } from './member-evidence.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { now } from './operation.ts';
import type { OperationReport } from './operation.ts';
import { describeMember, memberConditions, portsSilent } from './plan/evidence.ts';
import type { DecidableInput } from './plan/plan-input.ts';

const PUT_BACK_STEPS = ['releaseMachine', 'undrainWorkloadEntry', 'verifyGivenOut'];
export const RETURN_STEPS = [...VERIFY_STEPS, ...PUT_BACK_STEPS];

/**
 * Ready, connected, registered and healthy: later than `since`, where the proxy was restarted. Returns what the machine is by then.
 */
export async function seeReturned(
  report: OperationReport,
  input: DecidableInput,
  waits: Required<Waits>,
  since?: string,
): Promise<NonNullable<OperationOutcome['machine']>> {
  const { namespace, name } = input.request;
  const id = `${namespace}/${name}`;
  const seen = await seeMember(report, input, waits, 'Succeeded', since, true);
  const silent = seen.hasProbe ? [] : portsSilent(input, seen.machine);
  if (silent.length > 0) {
    const message = `Nothing listens on port ${silent.join(', ')} of ${id}, which its WorkloadGroup names; start the application`;
    throw ApplicationFailure.nonRetryable(message, 'NotHealthy');
  }
  const evidence = { ...seen, awaitsRestart: [] };
  const conditions = memberConditions(evidence, id, now());
  report.setConditions(conditions);
  return { ...describeMember(evidence), conditions };
}

/** Sees the machine whole, lets go of it, and waits until every istiod gives it to clients again. */
export async function returnToService(
  report: OperationReport,
  input: DecidableInput,
  draining: Draining,
  waits: Required<Waits>,
  since?: string,
): Promise<NonNullable<OperationOutcome['machine']>> {
  const machine = await seeReturned(report, input, waits, since);
  await report.step('releaseMachine', `the hold file of ${draining.id} to go`, async () => {
    const { changed } = await changeHost(`Let go of ${draining.id}`, waits.changeMs).releaseMachine(draining.on);
    return { end: changed.length > 0 ? 'Succeeded' : 'Unchanged', value: undefined };
  });
  await draining.putBackProven();
  return machine;
}
