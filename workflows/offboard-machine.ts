/**
 * Takes one machine out of the mesh. The runbook:
 * read what stands; take the machine out of load balancing and wait until no istiod gives its address out; stop capture, then the
 * proxy; restore the machine from its journal; remove its WorkloadEntry and objects, and the group with its last machine; look
 * again. Until the proxy stops, a failure or cancel puts the machine back into load balancing; from then on it only goes forward.
 */
import { CancellationScope, TemporalFailure } from '@temporalio/workflow';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import { defaultWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { OffboardingChanges } from './offboarding-changes.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { blocking } from './plan/conditions.ts';
import { readConditions } from './plan/read-checks.ts';
import { readBothSides } from './read-facts.ts';

export interface OffboardInput {
  /** What the machine was onboarded with. */
  readonly body: OnboardMachine;
  /** The machine is in the mesh. */
  readonly isMember?: boolean;
  /** Something of Meshlift's stands, or may stand, on the machine or in the cluster. */
  readonly isPresent?: boolean;
  readonly fence?: number;
  readonly waits?: Waits;
}

const STEPS = [
  'drainWorkloadEntry',
  'verifyNotGivenOut',
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
  const report = new OperationReport('offboard', { namespace, name }, STEPS);
  const undo = new Compensations();
  let fence = 0;
  let hasStopped = false;
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
    const leaving = new OffboardingChanges(
      report,
      { ...body, host: read.input.request.host },
      { cluster, machine, isPresent: given.isPresent ?? true },
      fence,
      waits,
      undo,
    );

    await leaving.drain();
    hasStopped = true;
    report.goForwardOnly();
    await CancellationScope.nonCancellable(() => leaving.takeAway());
    const message = `${id} is out of the mesh and as found; the cluster has nothing of it left`;
    return await endOperation(report.finish('Succeeded', message), { fence, leftBehind: false });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    const isStopped = isStopAsked(error);
    const cause = explainFailure(error).message;
    if (hasStopped) {
      const operation = report.finish('Failed', `${cause}; ${id} is partly taken away`, `DELETE ${id} again to finish`);
      return endOperation(operation, { fence, leftBehind: true });
    }
    report.goForwardOnly();
    const { steps, left } = await undo.run((failed) => explainFailure(failed).message);
    report.undone(steps);
    const leftBehind = left.length > 0;
    const phase = leftBehind ? 'Failed' : isStopped ? 'Cancelled' : undo.isEmpty ? 'Failed' : 'RolledBack';
    const stays = given.isMember === true ? `${id} stays a member` : `${id} is as it was before this DELETE`;
    const state = leftBehind ? `could not undo: ${left.join('; ')}` : stays;
    return endOperation(report.finish(phase, `${cause}; ${state}`, `DELETE ${id} again`), { fence, leftBehind });
  }
}
