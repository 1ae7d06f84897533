/**
 * Enforces the isolation of one machine in the mesh, or goes back to observing it. The runbook:
 * read machine, cluster and neighbours; say who would be cut, and stop before the first write while callers outside the mesh remain
 * and nobody said to cut them; change its policies in the cluster; then its flag and its excluded ports on the machine, where nothing
 * restarts; confirm over a new connection that it is still reachable; then wait for evidence: its listeners do what the mode says,
 * and istiod has everything acknowledged. What fails or is cancelled on the way is undone on both sides.
 */
import { TemporalFailure } from '@temporalio/workflow';

import type { EnforceMachine, Enforcement } from '../api/schemas/verbs.ts';
import { defaultWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { EnforcingChanges } from './enforcing-changes.ts';
import { seeMember, VERIFY_STEPS } from './member-evidence.ts';
import type { MemberInput, OperationOutcome } from './messages.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { ENFORCE_STEPS, planEnforce } from './plan/enforce-plan.ts';
import { describeMember, memberConditions } from './plan/evidence.ts';
import { exposureConditions, isRefused } from './plan/exposure.ts';
import { readConditions } from './plan/read-checks.ts';
import { readExposure } from './read-exposure.ts';
import { takeBack } from './take-back.ts';

type Known = Pick<OperationOutcome, 'fence' | 'pinnedHostKey'> & { readonly enforcement: Enforcement };

export async function enforceMachine(given: MemberInput<EnforceMachine>): Promise<OperationOutcome> {
  const { body, request } = given;
  const { namespace, name } = body;
  const machine = `${namespace}/${name}`;
  const waits = { ...defaultWaits, ...given.waits };
  const report = new OperationReport('enforce', { namespace, name }, [
    ...ENFORCE_STEPS,
    'verifyPolicy',
    ...VERIFY_STEPS,
  ]);
  const undo = new Compensations();
  let known: Known = { fence: 0, enforcement: given.member.isEnforced ? 'enforce' : 'observe' };
  try {
    report.waitFor(`facts of ${machine}, its cluster and its neighbours`);
    const { read, input, failure, ...pinned } = await readExposure(body, request, waits);
    const found = [...readConditions(read, now()), ...(input ? exposureConditions(input, now()) : [])];
    report.setConditions(found);
    const faults = found.filter(isRefused).map(({ message }) => message);
    if (faults.length > 0 || !input) {
      const why = [...faults, ...(failure ? [failure.message] : [])].join('; ');
      const operation = report.finish('Failed', `Nothing was touched: ${why}`, 'Correct this and repeat the request');
      return await endOperation(operation, { ...known, leftBehind: false });
    }
    known = { ...known, fence: Math.max(given.fence ?? 1, input.machine.journal.fence + 1), ...pinned };

    const planned = planEnforce(input);
    const changes = new EnforcingChanges(report, input, known.fence, waits, undo);
    for (const step of ENFORCE_STEPS) {
      const change = planned.find((one) => one.step === step);
      if (change) await changes.make(change);
      else report.unchanged(step, 'Found as wanted');
    }

    const isNoOp = report.areUnchanged(ENFORCE_STEPS);
    await changes.verifyPolicy(isNoOp);
    const seen = await seeMember(report, input, waits, isNoOp ? 'Unchanged' : 'Succeeded');
    const evidence = { ...seen, awaitsRestart: [] };
    const conditions = [...found, ...memberConditions(evidence, machine, now())];
    report.setConditions(conditions);
    const message = isNoOp
      ? `${machine} is at ${request.mode} as wanted; nothing was written`
      : request.mode === 'enforce'
        ? `${machine} is enforced: only namespace ${namespace} reaches it, and it reaches only what that namespace declares`
        : `${machine} is observed: it takes plaintext and reaches everything, as before it was enforced`;
    return await endOperation(report.finish('Succeeded', message), {
      ...known,
      leftBehind: false,
      enforcement: request.mode,
      machine: { ...describeMember(evidence), conditions },
    });
  } catch (error) {
    // Any other throw is a bug: it retries the workflow task until a mended worker takes it on.
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    return endTakenBack(report, undo, error, machine, known);
  }
}

/** Both sides go back to what they were; what could not be undone is told. */
async function endTakenBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  machine: string,
  known: Known,
): Promise<OperationOutcome> {
  const { cause, left, end } = await takeBack(report, undo, error, `undoing what was done to ${machine}`);
  const leftBehind = left.length > 0;
  const operation = leftBehind
    ? report.finish(
        end,
        `${cause}; could not undo: ${left.join('; ')}`,
        `Repeat the request, or ask for ${known.enforcement} again`,
      )
    : report.finish(
        end,
        `${cause}; ${machine} is at ${known.enforcement} as before`,
        'Correct this and repeat the request',
      );
  return endOperation(operation, { ...known, leftBehind });
}
