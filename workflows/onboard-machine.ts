/**
 * Onboards one machine. The runbook:
 * read what cluster and machine say; judge it, and stop before the first write where something critical is wrong; apply the
 * cluster's objects; install the package; write the files; place the token; start the proxy, which captures traffic once it is
 * ready; confirm over a new connection that the machine is still reachable; then wait for evidence: ready, connected to the right
 * istiod with everything acknowledged, registered, healthy. What fails or is cancelled on the way is undone on both sides.
 */
import { TemporalFailure } from '@temporalio/workflow';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import { defaultWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { seeMember, VERIFY_STEPS } from './member-evidence.ts';
import type { MemberState, OperationOutcome, Waits } from './messages.ts';
import { OnboardingChanges } from './onboarding-changes.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { CHANGE_STEPS, planBootstrap } from './plan/bootstrap-plan.ts';
import { blocking, conditionsOf } from './plan/conditions.ts';
import { describeMember, memberConditions } from './plan/evidence.ts';
import { isDecidable } from './plan/plan-input.ts';
import { readFacts } from './read-facts.ts';
import { takeBack } from './take-back.ts';

export interface OnboardInput {
  readonly body: OnboardMachine;
  /** The machine is in the mesh: the operation repairs what differs, and a failure takes no member out. */
  readonly isMember: boolean;
  /** How the member stands; absent: observed and taking traffic. */
  readonly member?: MemberState;
  /** The least to use, absent for a fresh entity: an operation always goes above the fence in the machine's journal. */
  readonly fence?: number;
  readonly waits?: Waits;
}

type Known = Pick<OperationOutcome, 'fence' | 'pinnedHostKey'>;

export async function onboardMachine(given: OnboardInput): Promise<OperationOutcome> {
  const { namespace, name } = given.body;
  const machine = `${namespace}/${name}`;
  const waits = { ...defaultWaits, ...given.waits };
  const report = new OperationReport('onboard', { namespace, name }, [...CHANGE_STEPS, ...VERIFY_STEPS]);
  const undo = new Compensations();
  let known: Known = { fence: 0 };
  try {
    report.waitFor(`facts of ${machine} and its cluster`);
    const { input, ...pinned } = await readFacts(given.body, given.isMember, waits);
    report.setConditions(conditionsOf(input, now()));
    const faults = blocking(report.current().conditions);
    if (faults.length > 0 || !isDecidable(input)) {
      const message = `Nothing was touched: ${faults.map((fault) => fault.message).join('; ')}`;
      const operation = report.finish('Failed', message, 'Correct this and repeat the request');
      return await endOperation(operation, { ...known, leftBehind: false });
    }
    known = { fence: Math.max(given.fence ?? 1, input.machine.journal.fence + 1), ...pinned };

    const planned = planBootstrap(input);
    const changes = new OnboardingChanges(report, input, known.fence, waits, undo);
    for (const step of CHANGE_STEPS) {
      const change = planned.find((one) => one.step === step);
      if (change) await changes.make(change);
      else report.unchanged(step, 'Found as wanted');
    }

    const isNoOp = report.areUnchanged(CHANGE_STEPS);
    const end = isNoOp ? 'Unchanged' : 'Succeeded';
    const seen = await seeMember(report, input, waits, end, changes.proxyStartedAt());
    const evidence = { ...seen, ...changes.learned() };
    const conditions = [...report.current().conditions, ...memberConditions(evidence, machine, now())];
    report.setConditions(conditions);
    const { revision, version } = evidence.connected;
    const message = isNoOp
      ? `${machine} is in the mesh as wanted; nothing was written`
      : `${machine} is in the mesh: revision ${revision}, proxy ${version}`;
    const member = { ...describeMember(evidence), conditions };
    const restart = conditions.find(({ reason }) => reason === 'RestartRequired');
    return await endOperation(report.finish('Succeeded', message, restart?.message), {
      ...known,
      leftBehind: false,
      enforcement: input.rendered.enforcement,
      machine: member,
    });
  } catch (error) {
    // Any other throw is a bug: it retries the workflow task until a mended worker takes it on.
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    return endTakenBack(report, undo, error, given, known);
  }
}

/** Undoes what was done, and says what could not be undone. */
async function endTakenBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  { body, isMember }: OnboardInput,
  known: Known,
): Promise<OperationOutcome> {
  const machine = `${body.namespace}/${body.name}`;
  const { cause, left, end } = await takeBack(report, undo, error, `undoing what was done to ${machine}`);
  const leftBehind = left.length > 0;
  if (leftBehind) {
    const message = `${cause}; could not undo: ${left.join('; ')}`;
    return endOperation(report.finish(end, message, `DELETE ${machine} to take away what is left`), {
      ...known,
      leftBehind,
    });
  }
  // A member is repaired on with the next request: its changes are not taken back, and the phase says so.
  const kept = report.standing(CHANGE_STEPS);
  const message = [
    cause,
    ...(isMember ? [`${machine} stays a member`] : []),
    kept.length > 0 ? `what ${kept.join(', ')} changed stays` : 'nothing of this request is left',
  ].join('; ');
  const phase = kept.length > 0 ? 'Failed' : end;
  return endOperation(report.finish(phase, message, 'Correct this and repeat the request'), { ...known, leftBehind });
}
