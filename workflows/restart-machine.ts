/**
 * Restarts the proxy of one machine without a failed request. The runbook:
 * drain (lease, hold, label, proof), re-read the floors, let the proxy take leave of its clients and wait until they are gone, restart
 * the unit, and return on evidence that is later than the restart. Until the proxy takes leave, a failure or cancel puts the machine
 * back; after that, one that does not come back stays drained and says why. A machine that was drained before stays so.
 */
import { CancellationScope, TemporalFailure } from '@temporalio/workflow';

import type { RestartProxy } from '../api/schemas/verbs.ts';
import { changeHost, defaultWaits, readCluster, readHost } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { DRAIN_STEPS, Draining } from './draining.ts';
import { explainFailure } from './explain-failure.ts';
import type { MemberInput, OperationOutcome, Waits } from './messages.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { drainedCondition, drainTerms } from './plan/drain-terms.ts';
import type { DecidableInput } from './plan/plan-input.ts';
import { putBack } from './put-back.ts';
import { readyToMove } from './ready-to-move.ts';
import { RETURN_STEPS, returnToService, seeReturned } from './return-to-service.ts';

const STEPS = [...DRAIN_STEPS, 'restartProxy', ...RETURN_STEPS];
/** One try; systemd starts a proxy that failed again after 10 s. */
const READY_SECONDS = 60;

export async function restartMachine(given: MemberInput<RestartProxy>): Promise<OperationOutcome> {
  const { body, request, member } = given;
  const { namespace, name } = body;
  const id = `${namespace}/${name}`;
  const waits = { ...defaultWaits, ...given.waits };
  const report = new OperationReport('restart-proxy', { namespace, name }, STEPS);
  const undo = new Compensations();
  const known = { fence: 0, leftBehind: false };
  let draining: Draining | undefined;
  let isRestarting = false;
  try {
    const found = await readyToMove(report, given, waits);
    if (!found.isReady) return await found.end();
    const { input, target } = found;
    known.fence = target.fence;
    const leaving = (draining = new Draining(report, target, drainTerms(request), waits, undo));
    if (member.isDrained) for (const step of DRAIN_STEPS) report.unchanged(step, 'Drained already');
    else await drain(leaving);
    isRestarting = true;
    report.goForwardOnly();
    const machine = await CancellationScope.nonCancellable(() =>
      restart(report, input, leaving, member.isDrained, waits),
    );
    const message = member.isDrained
      ? `The proxy of ${id} was restarted; ${id} stays drained, as it was`
      : `The proxy of ${id} was restarted and is in service again`;
    return await endOperation(report.finish('Succeeded', message), { ...known, isDrained: member.isDrained, machine });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    if (!isRestarting && draining?.isDisturbed() !== true) return await putBack(report, undo, error, id, known.fence);
    const why = `${explainFailure(error).message}; ${id} is not put back into service`;
    report.setConditions([...report.current().conditions, drainedCondition('ReturnUnproven', why, now())]);
    const next = `POST .../undrain on ${id} once this is mended`;
    return await endOperation(report.finish('Failed', why, next), { ...known, isDrained: true });
  } finally {
    await draining?.returnLease();
  }
}

/** Past the last step the proxy lets go of its clients, so that nothing can be taken back. */
async function drain(draining: Draining): Promise<void> {
  await draining.takeLease();
  await draining.hold();
  await draining.label();
  await draining.prove();
  await draining.quiet('follows');
}

async function restart(
  report: OperationReport,
  input: DecidableInput,
  draining: Draining,
  staysDrained: boolean,
  waits: Required<Waits>,
): Promise<NonNullable<OperationOutcome['machine']>> {
  const { id, on, entry } = draining;
  const before = await readCluster(`Read the WorkloadEntry of ${id}`, waits.readableMs).readWorkloadEntry(entry);
  await report.step('restartProxy', `the proxy of ${id} to come back`, async () => {
    const { gapMs } = await changeHost(`Restart the proxy of ${id}`, waits.readyMs).restartProxy({
      ...on,
      readySeconds: READY_SECONDS,
    });
    if (gapMs !== undefined) report.tellDrain({ proxyDownSeconds: gapMs / 1_000 });
    return { end: 'Succeeded', value: undefined };
  });
  const since = laterThan(before?.connectedAt);
  if (staysDrained) {
    const machine = await seeReturned(report, input, waits, since);
    // An entry that went in a long gap comes back without its label.
    await draining.relabel();
    for (const step of ['releaseMachine', 'undrainWorkloadEntry', 'verifyGivenOut'])
      report.unchanged(step, 'Stays drained');
    return machine;
  }
  const machine = await returnToService(report, input, draining, waits, since);
  const { outboundFailed } = await readHost(`Count failed calls of ${id}`, waits.readableMs).watchTraffic(on);
  report.tellDrain({ outboundFailed });
  return machine;
}

/** The next millisecond: what is as old as the connection before the restart proves nothing. */
function laterThan(connectedAt: string | undefined): string | undefined {
  return connectedAt === undefined ? undefined : new Date(Date.parse(connectedAt) + 1).toISOString();
}
