/**
 * Moves the traffic of one Service from the machines of a WorkloadGroup to pods. The runbook:
 * read everything and judge it; guard the Service, so that a pod gets nothing by being ready; apply what the request brings along;
 * start the pods; call them by a header
 * that only they are routed by; move the weight step by step, each seen at every client, held, and judged by what both sides
 * answered; soak, machines warm; once that is confirmed, see that no request reaches a machine any more, let the machines leave, and
 * take away what routed. Until then one write returns all traffic to the machines: by itself where a step fails, and when asked.
 */
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  setHandler,
  TemporalFailure,
  upsertSearchAttributes,
} from '@temporalio/workflow';

import type { Operation } from '../api/schemas/operation.ts';
import { migrationWaits } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import { because, Cutover, type Gates } from './cutover.ts';
import { explainFailure } from './explain-failure.ts';
import type { Written } from './leading-routes.ts';
import { controlUpdate, type MigrationInput, searchAttributes } from './messages.ts';
import { closeAs, type Ending, OperationReport } from './operation.ts';
import { blocking } from './plan/conditions.ts';
import {
  awaiting,
  beginning,
  type ControlRequest,
  type CutoverState,
  decide,
  refusalOf,
} from './plan/cutover-state.ts';
import { cutoverSteps } from './plan/cutover-steps.ts';
import { leftAtTheEnd } from './plan/describe-migration.ts';
import { readCutover } from './read-cutover.ts';
import { takeBack } from './take-back.ts';

export async function migrateWorkload(given: MigrationInput): Promise<Operation> {
  const { request } = given;
  const { namespace, name, workloadGroup, service } = request;
  const id = `${namespace}/${name}`;
  const waits = { ...migrationWaits, ...given.waits };
  const report = new OperationReport('migrate', { namespace, name }, cutoverSteps(request));
  upsertSearchAttributes([
    { key: searchAttributes.namespace, value: namespace },
    { key: searchAttributes.workloadGroup, value: workloadGroup },
    { key: searchAttributes.operation, value: 'migrate' },
  ]);
  const undo = new Compensations();
  const scope = new CancellationScope();
  let state: CutoverState = beginning;
  /** Why the run takes itself back, where it does. */
  let failedBy = 'rollback';
  setHandler(
    controlUpdate,
    (asked) => {
      state = decide(state, asked);
      if (state.isRollbackAsked) scope.cancel();
      return report.current();
    },
    {
      validator: (asked: ControlRequest) => {
        const refusal = refusalOf(state, asked);
        if (refusal !== undefined) throw ApplicationFailure.nonRetryable(`${refusal.message} (${id})`, refusal.type);
      },
      description: 'Approves, pauses, resumes, rolls back or finalizes; answers with the operation',
    },
  );
  const gates = gatesOf(
    report,
    () => state,
    (next) => (state = next),
    () => failedBy,
  );

  try {
    return await scope.run(async () => {
      const { conditions, plan } = await readCutover(request, waits);
      report.setConditions(conditions);
      const faults = blocking(conditions);
      if (faults.length > 0 || plan === undefined) {
        const message = `Nothing was touched: ${faults.map((fault) => fault.message).join('; ')}`;
        return await end(report.finish('Failed', message, 'Correct this and repeat the request'));
      }
      const cutover = new Cutover(report, plan, waits, undo, gates);
      await cutover.claimMachines();
      await cutover.nameSides();
      await cutover.guard();
      await cutover.applyManifests();
      await cutover.startPods();
      await cutover.smokeTest();
      await cutover.awaitCutover();
      for (const step of request.steps) await cutover.shift(step);
      if (cutover.share() < 100) return await cutover.holdSplit();
      await cutover.soak();
      await cutover.awaitFinalize();
      await cutover.proveSilence();
      state = { ...state, isFinalizing: true };
      report.goForwardOnly();
      await CancellationScope.nonCancellable(async () => {
        await cutover.retireMachines();
        await cutover.removeRoutesAtTheEnd();
      });
      const message = `Service ${namespace}/${service} is served by pods; ${plan.machines.length} machines have left`;
      return await end(report.finish('Succeeded', message));
    });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    if (state.isFinalizing) {
      const { message } = explainFailure(error);
      return await end(report.finish('Failed', `${message}; the traffic stays with the pods`, leftAtTheEnd(request)));
    }
    failedBy = explainFailure(error).message;
    return await rollBack(report, undo, error, id, state);
  }
}

/** What a person has to say: each wait is told, and ends with who ended it. */
function gatesOf(
  report: OperationReport,
  state: () => CutoverState,
  set: (next: CutoverState) => void,
  failedBy: () => string,
): Gates {
  /** What is told again once a pause is over. */
  let decisionAwaited: string | undefined;
  const untilDecided = async (
    awaits: 'approval' | 'finalize',
    waitingFor: string,
    weight?: number,
  ): Promise<Written> => {
    set(awaiting(state(), awaits, weight));
    decisionAwaited = waitingFor;
    report.waitForOthers(waitingFor);
    await condition(() => state().decision !== undefined);
    decisionAwaited = undefined;
    report.waitForOthers(undefined);
    const { by = '', why = '' } = state().decision ?? {};
    return { by, why };
  };
  const pause = (): void => {
    set({ ...state(), isPaused: true });
  };
  /** What a person is to see to before, whoever else waits for the same. */
  let mending: string | undefined;
  const untilResumed = async (toMend?: string): Promise<void> => {
    mending = state().isPaused ? (toMend ?? mending) : undefined;
    if (!state().isPaused) return;
    report.waitForOthers(`POST .../resume${mending === undefined ? '' : ` once this is mended: ${mending}`}`);
    await condition(() => !state().isPaused);
    mending = undefined;
    report.waitForOthers(decisionAwaited);
  };
  return {
    untilResumed,
    untilApproved: (weight) => untilDecided('approval', `POST .../approve of ${weight}%`, weight),
    untilFinalized: () => untilDecided('finalize', 'POST .../finalize; POST .../rollback until then'),
    takenBackBy: () => {
      const { isRollbackAsked, decision } = state();
      return isRollbackAsked && decision !== undefined
        ? { by: decision.by, why: because('rollback', decision.why ?? '') }
        : { by: 'the run', why: failedBy() };
    },
    pause,
    async untilMended(why) {
      pause();
      await untilResumed(why);
    },
  };
}

/** All traffic to the machines, then the pods as they were, then the routes: so nothing is lost on the way, and a new run can begin. */
async function rollBack(
  report: OperationReport,
  undo: Compensations,
  error: TemporalFailure,
  id: string,
  { isRollbackAsked, decision }: CutoverState,
): Promise<Operation> {
  const taken = await takeBack(report, undo, error, `traffic of ${id} to return to the machines`);
  const { left } = taken;
  const asked = `Rolled back on request of ${decision?.by ?? 'a caller'}${decision?.why === undefined ? '' : `: ${decision.why}`}`;
  const cause = isRollbackAsked ? asked : taken.cause;
  if (left.length > 0) {
    return await end(
      report.finish('Failed', `${cause}; could not undo: ${left.join('; ')}`, 'Correct this; a new run takes it on'),
    );
  }
  const phase = isRollbackAsked ? 'RolledBack' : taken.end;
  const message = undo.isEmpty
    ? `${cause}; nothing was touched`
    : `${cause}; all traffic is with the machines, as before`;
  return await end(report.finish(phase, message, 'POST /v1/migrations again once it is corrected'));
}

/** Nobody is to be told before the end is published; Temporal's own status agrees with it. */
async function end({ operation, publish }: Ending): Promise<Operation> {
  publish();
  closeAs(operation);
  return Promise.resolve(operation);
}
