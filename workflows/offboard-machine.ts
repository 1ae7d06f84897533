/**
 * Takes one machine out of the mesh. The runbook:
 * read what stands; drain the machine, as one that is only restarted (lease, hold, label, proof, quiet); stop capture, then the proxy;
 * restore the machine from its journal; remove its WorkloadEntry and objects, and the group with its last machine; look
 * again. Until the proxy stops, a failure or cancel puts the machine back into load balancing; from then on it only goes forward.
 */
import { CancellationScope, TemporalFailure } from '@temporalio/workflow';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import { defaultWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { DRAIN_STEPS } from './draining.ts';
import { explainFailure } from './explain-failure.ts';
import { FORCED_STEPS, forceOffboard } from './force-offboard.ts';
import type { MemberState, OperationOutcome, Waits } from './messages.ts';
import { OffboardingChanges } from './offboarding-changes.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { blocking } from './plan/conditions.ts';
import { readConditions } from './plan/read-checks.ts';
import { readBothSides } from './read-facts.ts';
import { takeBack } from './take-back.ts';

export interface OffboardInput {
  /** What the machine was onboarded with. */
  readonly body: OnboardMachine;
  /** The machine is in the mesh. */
  readonly isMember?: boolean;
  /** Something of Meshlift's stands, or may stand, on the machine or in the cluster. */
  readonly isPresent?: boolean;
  /** How the member stands; absent: observed and taking traffic. */
  readonly member?: MemberState;
  /** The machine does not answer any more: only the cluster's side is taken away. Default false. */
  readonly force?: boolean;
  /** A migration has moved its traffic for good. Default false. */
  readonly isReplaced?: boolean;
  readonly fence?: number;
  readonly waits?: Waits;
}

const STEPS = [
  ...DRAIN_STEPS,
  'stopProxy',
  'restoreMachine',
  'removeWorkloadEntry',
  'removeClusterObjects',
  'verifyRemoved',
];

export async function offboardMachine(given: OffboardInput): Promise<OperationOutcome> {
  const { body } = given;
  const { namespace, name } = body;
  const id = `${namespace}/${name}`;
  const waits = { ...defaultWaits, ...given.waits };
  const isForced = given.force === true;
  const report = new OperationReport('offboard', { namespace, name }, isForced ? FORCED_STEPS : STEPS);
  if (isForced) return forceOffboard(report, body, waits);
  const undo = new Compensations();
  let fence = 0;
  let hasStopped = false;
  let leaving: OffboardingChanges | undefined;
  try {
    report.waitFor(`facts of ${id} and its cluster`);
    const read = await readBothSides(body, true, waits);
    report.setConditions(readConditions(read.input, now()));
    const faults = blocking(report.current().conditions);
    const { cluster, machine } = read.input;
    if (faults.length > 0 || !cluster || !machine) {
      const message = `Nothing was touched: ${faults.map((fault) => fault.message).join('; ')}`;
      return await endOperation(report.finish('Failed', message, `Correct this and DELETE ${id} again`), {
        fence,
        leftBehind: false,
      });
    }
    fence = Math.max(given.fence ?? 1, machine.journal.fence + 1);
    leaving = new OffboardingChanges(
      report,
      { ...body, host: read.input.request.host },
      {
        cluster,
        machine,
        isPresent: given.isPresent ?? true,
        isMember: given.isMember ?? false,
        member: given.member ?? { isEnforced: false, isDrained: false },
        isReplaced: given.isReplaced ?? false,
      },
      fence,
      waits,
      undo,
    );

    await leaving.drain();
    hasStopped = true;
    report.goForwardOnly();
    const takeAway = leaving.takeAway.bind(leaving);
    await CancellationScope.nonCancellable(takeAway);
    const message = `${id} is out of the mesh and as found; the cluster has nothing of it left`;
    return await endOperation(report.finish('Succeeded', message), { fence, leftBehind: false });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    if (hasStopped || leaving?.isDisturbed() === true) {
      const { message: cause } = explainFailure(error);
      const operation = report.finish('Failed', `${cause}; ${id} is partly taken away`, `DELETE ${id} again to finish`);
      return await endOperation(operation, { fence, leftBehind: true });
    }
    const { cause, left, end } = await takeBack(report, undo, error, `${id} to be put back`);
    const leftBehind = left.length > 0;
    const stays = given.isMember === true ? `${id} stays a member` : `${id} is as it was before this DELETE`;
    const state = leftBehind ? `could not undo: ${left.join('; ')}` : stays;
    return await endOperation(report.finish(end, `${cause}; ${state}`, `DELETE ${id} again`), { fence, leftBehind });
  } finally {
    await leaving?.returnLease();
  }
}
