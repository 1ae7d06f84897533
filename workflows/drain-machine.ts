/**
 * Takes one machine out of service and puts it back. The runbook of a drain:
 * take a lease, so that no Service falls below its floor; hold the machine; label its WorkloadEntry; prove from every istiod that no
 * client sends it anything any more; wait until what it serves has ended. What fails or is cancelled puts it back.
 * Of an undrain: wait for evidence that the proxy is ready, connected, registered and healthy; let go of the machine; take the label
 * off; prove that every istiod gives it to clients again. Where that does not come true the machine stays drained.
 */
import { TemporalFailure } from '@temporalio/workflow';

import type { Condition } from '../api/schemas/common.ts';
import type { DrainMachine } from '../api/schemas/verbs.ts';
import { changeHost, defaultWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { DRAIN_STEPS, Draining } from './draining.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import type { MemberInput, Operate, OperationOutcome, Waits } from './messages.ts';
import { endOperation, now, OperationReport } from './operation.ts';
import { drainedCondition, drainTerms } from './plan/drain-terms.ts';
import { putBack } from './put-back.ts';
import { readyToMove } from './ready-to-move.ts';
import { RETURN_STEPS, returnToService } from './return-to-service.ts';

type Input = MemberInput<Extract<Operate, { verb: 'drain' | 'undrain' }>>;

export async function drainMachine(given: Input): Promise<OperationOutcome> {
  const { request } = given;
  const waits = { ...defaultWaits, ...given.waits };
  switch (request.verb) {
    case 'drain':
      return drain(given, request.body, waits);
    case 'undrain':
      return undrain(given, waits);
  }
}

async function drain(given: Input, request: DrainMachine, waits: Required<Waits>): Promise<OperationOutcome> {
  const { namespace, name } = given.body;
  const id = `${namespace}/${name}`;
  const report = new OperationReport('drain', { namespace, name }, DRAIN_STEPS);
  const undo = new Compensations();
  let fence = 0;
  let draining: Draining | undefined;
  try {
    const found = await readyToMove(report, given, waits);
    if (!found.isReady) return await found.end();
    fence = found.target.fence;
    if (given.member.isDrained && found.input.machine.isHeld) {
      for (const step of DRAIN_STEPS) report.unchanged(step, 'Drained already');
      const operation = report.finish('Succeeded', `${id} is drained; nothing was written`);
      return await endOperation(operation, { fence, leftBehind: false, isDrained: true });
    }
    draining = new Draining(report, found.target, drainTerms(request), waits, undo);
    await draining.takeLease();
    await draining.hold();
    await draining.label();
    await draining.prove();
    await draining.quiet('none');
    const { connectionsLeft = 0 } = report.current().drain ?? {};
    const left = connectionsLeft > 0 ? `; ${connectionsLeft} requests or connections go on` : '';
    const message = `${id} is out of service${left}; it stays so, also after a reboot`;
    report.setConditions([drainedCondition('Drained', `${message}; POST .../undrain puts it back`, now())]);
    return await endOperation(report.finish('Succeeded', message, `POST .../undrain puts ${id} back`), {
      fence,
      leftBehind: false,
      isDrained: true,
    });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    return await putBack(report, undo, error, id, fence);
  } finally {
    await draining?.returnLease();
  }
}

const UNDRAIN_STEPS = ['startProxy', ...RETURN_STEPS];

async function undrain(given: Input, waits: Required<Waits>): Promise<OperationOutcome> {
  const { namespace, name } = given.body;
  const id = `${namespace}/${name}`;
  const report = new OperationReport('undrain', { namespace, name }, UNDRAIN_STEPS);
  const { isDrained } = given.member;
  let fence = 0;
  try {
    const found = await readyToMove(report, given, waits);
    if (!found.isReady) return await found.end(isDrained);
    const { input, target } = found;
    fence = target.fence;
    if (!isDrained && !input.machine.isHeld) {
      for (const step of UNDRAIN_STEPS) report.unchanged(step, 'In service already');
      const operation = report.finish('Succeeded', `${id} is in service; nothing was written`);
      return await endOperation(operation, { fence, leftBehind: false, isDrained: false });
    }
    const draining = new Draining(report, target, drainTerms({}), waits, new Compensations());
    if (input.machine.unit.activeState === 'active') {
      report.unchanged('startProxy', 'The proxy runs');
      await changeHost(`Redirect to the proxy of ${id}`, waits.changeMs).startCapture(draining.on);
    } else {
      await report.step('startProxy', `the proxy of ${id} to start`, async () => {
        await changeHost(`Start the proxy of ${id}`, waits.readyMs).restartProxy({ ...draining.on, readySeconds: 60 });
        return { end: 'Succeeded', value: undefined };
      });
    }
    const machine = await returnToService(report, input, draining, waits);
    const operation = report.finish('Succeeded', `${id} is in service again`);
    return await endOperation(operation, { fence, leftBehind: false, isDrained: false, machine });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    const { message } = explainFailure(error);
    const condition: Condition = drainedCondition('ReturnUnproven', `${message}; ${id} stays out of service`, now());
    report.setConditions([condition]);
    const phase = isStopAsked(error) ? 'Cancelled' : 'Failed';
    return await endOperation(report.finish(phase, condition.message, `POST .../undrain on ${id} again`), {
      fence,
      leftBehind: false,
      isDrained: true,
    });
  }
}
