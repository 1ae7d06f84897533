/**
 * One machine, from onboarding to gone: `machine/<namespace>/<name>`. It takes on one operation after another, starts each as a
 * child that outlives it, waits for its outcome, and remembers what a member is to be and was seen to be. It wakes only when
 * something is asked of it or an operation ended, and ends when nothing of the machine is left in the mesh.
 */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { ChildWorkflowHandle } from '@temporalio/workflow';

import type { Machine } from '../api/schemas/machine.ts';
import { machineQuery, offboardUpdate, onboardUpdate, operationFinishedSignal, searchAttributes } from './messages.ts';
import type { Accepted, MachineInput, OffboardRequest, OnboardRequest, OperationOutcome, Waits } from './messages.ts';
import { offboardMachine } from './offboard-machine.ts';
import { onboardMachine } from './onboard-machine.ts';
import { explainFailure, now } from './operation.ts';
import { accept, admitOffboard, admitOnboard } from './plan/admission.ts';
import type { Admission } from './plan/admission.ts';
import { newMachine, toMachine } from './plan/machine-state.ts';
import type { MachineState, QueuedOperation } from './plan/machine-state.ts';
import { describeMachine, toRow } from './plan/describe-machine.ts';
import { applyOutcome, beginNext, outcomeOfLost } from './plan/turns.ts';

/** A machine that was started and never asked anything (its first request was refused) ends after this. */
const UNASKED = '1 minute';

export async function machine({ namespace, name, waits, state: carried }: MachineInput): Promise<Machine | undefined> {
  const id = `${namespace}/${name}`;
  let state = carried ?? newMachine;
  const outcomes = new Map<string, OperationOutcome>();

  const admitsOnboard = (request: OnboardRequest) => admitOnboard(state, request, Date.now());
  const admitsOffboard = (request: OffboardRequest) => admitOffboard(state, request, id, Date.now());
  const takeOn = (admission: Admission, request: OnboardRequest | OffboardRequest): Accepted => {
    if (admission.kind === 'Refuse') throw ApplicationFailure.nonRetryable(admission.message, admission.type);
    state = accept(state, admission, request, Date.now());
    return { operationId: admission.kind === 'Same' ? admission.operationId : admission.operation.operationId };
  };
  setHandler(machineQuery, () => {
    const view = toMachine(namespace, name, state);
    if (!view) throw ApplicationFailure.nonRetryable(`Nothing was asked of machine ${id} yet`, 'MachineNotFound');
    return view;
  });
  setHandler(onboardUpdate, (request: OnboardRequest) => takeOn(admitsOnboard(request), request), {
    validator: (request: OnboardRequest) => {
      refuse(admitsOnboard(request));
    },
    description: 'Onboards the machine; answers with the operation',
  });
  setHandler(offboardUpdate, (request: OffboardRequest) => takeOn(admitsOffboard(request), request), {
    validator: (request: OffboardRequest) => {
      refuse(admitsOffboard(request));
    },
    description: 'Takes the machine out of the mesh; answers with the operation',
  });
  setHandler(operationFinishedSignal, (outcome) => {
    outcomes.set(outcome.operationId, outcome);
  });

  const show = showIfNew();

  // A fresh entity whose first request was refused has nothing to do.
  if (state.queue.length === 0 && !state.isPresent) await condition(() => state.queue.length > 0, UNASKED);
  while (state.queue.length > 0 || state.isPresent) {
    show(namespace, name, state);
    await condition(() => state.queue.length > 0);
    state = beginNext(state);
    show(namespace, name, state);
    const outcome = await CancellationScope.nonCancellable(() => runOperation(id, state, outcomes, waits));
    state = applyOutcome(state, outcome, now());
    show(namespace, name, state);
    const isIdle = state.queue.length === 0 && allHandlersFinished();
    if (isIdle && state.isPresent && workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof machine>({ namespace, name, ...(waits ? { waits } : {}), state });
    }
  }
  return toMachine(namespace, name, state);
}

function refuse(admission: Admission): void {
  if (admission.kind === 'Refuse') throw ApplicationFailure.nonRetryable(admission.message, admission.type);
}

/** Starts the child, which lives on should this run end, and waits for its signal; one that dies without a word is told as lost. */
async function runOperation(
  id: string,
  state: MachineState,
  outcomes: Map<string, OperationOutcome>,
  waits: Waits | undefined,
): Promise<OperationOutcome> {
  const { current } = state;
  if (!current) throw ApplicationFailure.nonRetryable(`Machine ${id} has no operation to run`, 'OperationMissing');
  const { operationId } = current;
  let lost: string | undefined;
  try {
    const child = await start(current, id, state, waits);
    child.result().then(
      (outcome) => outcomes.set(operationId, outcome),
      (error: unknown) => (lost = explainFailure(error).message),
    );
  } catch (error) {
    lost = explainFailure(error).message;
  }
  await condition(() => outcomes.has(operationId) || lost !== undefined);
  const outcome = outcomes.get(operationId) ?? outcomeOfLost(current, id, lost ?? '');
  outcomes.delete(operationId);
  return outcome;
}

async function start(
  current: QueuedOperation,
  id: string,
  state: MachineState,
  waits: Waits | undefined,
): Promise<ChildWorkflowHandle<typeof onboardMachine>> {
  const body = state.desired;
  if (!body) throw ApplicationFailure.nonRetryable(`Machine ${id} was never onboarded`, 'MachineNotFound');
  const { namespace, name, workloadGroup } = body;
  const common = {
    body,
    ...(waits ? { waits } : {}),
    ...(state.fence === undefined ? {} : { fence: state.fence + 1 }),
  };
  const { operationId: workflowId, verb } = current;
  const options = {
    workflowId,
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    parentClosePolicy: ParentClosePolicy.ABANDON,
    memo: { verb, namespace, name },
    typedSearchAttributes: [
      { key: searchAttributes.namespace, value: namespace },
      { key: searchAttributes.workloadGroup, value: workloadGroup },
      { key: searchAttributes.operation, value: verb },
    ],
    staticDetails: `Operation \`${workflowId}\` on machine \`${id}\` of WorkloadGroup \`${namespace}/${workloadGroup}\``,
  };
  switch (verb) {
    case 'onboard': {
      const staticSummary = state.isPresent ? `Onboard ${id} again` : `Onboard ${id}`;
      return startChild(onboardMachine, {
        ...options,
        staticSummary,
        args: [{ ...common, isMember: state.phase === 'InMesh' }],
      });
    }
    case 'offboard':
      return startChild(offboardMachine, { ...options, staticSummary: `Offboard ${id}`, args: [common] });
  }
}

/** Search attributes, memo and current details, written only when they say something new. */
function showIfNew() {
  let shown = '';
  return (namespace: string, name: string, state: MachineState): void => {
    const view = toMachine(namespace, name, state);
    if (!view) return;
    setCurrentDetails(describeMachine(view, state));
    const row = toRow(view);
    if (JSON.stringify(row) === shown) return;
    shown = JSON.stringify(row);
    upsertMemo(row);
    upsertSearchAttributes([
      { key: searchAttributes.namespace, value: namespace },
      { key: searchAttributes.phase, value: view.phase },
      { key: searchAttributes.workloadGroup, value: view.workloadGroup },
      ...(row.revision === undefined ? [] : [{ key: searchAttributes.revision, value: row.revision }]),
      ...(row.proxyVersion === undefined ? [] : [{ key: searchAttributes.proxyVersion, value: row.proxyVersion }]),
      { key: searchAttributes.outdated, value: row.outdated },
    ]);
  };
}
