/**
 * One machine, from onboarding to gone: `machine/<namespace>/<name>`. It takes on one operation after another, starts each as a
 * child that outlives it, waits for its outcome, and remembers what a member is to be and was seen to be. It wakes only when
 * something is asked of it or an operation ended, and ends when nothing of the machine is left in the mesh and no
 * Idempotency-Key it has seen is still good.
 */
import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';

import type { Machine } from '../api/schemas/machine.ts';
import {
  machineQuery,
  offboardUpdate,
  onboardUpdate,
  operationFinishedSignal,
  previewOnboardQuery,
  searchAttributes,
} from './messages.ts';
import type { Accepted, MachineInput, OffboardRequest, OnboardRequest, OperationOutcome } from './messages.ts';
import { now } from './operation.ts';
import { runOperation } from './run-operation.ts';
import { accept, admitOffboard, admitOnboard, keysLiveForMs } from './plan/admission.ts';
import type { Admission } from './plan/admission.ts';
import { newMachine, toMachine } from './plan/machine-state.ts';
import type { MachineState } from './plan/machine-state.ts';
import { describeMachine, toRow } from './plan/describe-machine.ts';
import { applyOutcome, beginNext } from './plan/turns.ts';

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
  setHandler(previewOnboardQuery, (request: OnboardRequest) => {
    const admission = admitsOnboard(request);
    const isMember = state.phase === 'InMesh';
    if (admission.kind !== 'Refuse') return { isMember };
    return { isMember, refusal: { type: admission.type, message: admission.message } };
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

  const isAsked = () => state.queue.length > 0;
  const isDue = () => workflowInfo().continueAsNewSuggested && allHandlersFinished();
  const isAskedOrDue = () => isAsked() || isDue();
  // A fresh entity whose first request was refused has nothing to do.
  if (!carried && !isAsked()) await condition(isAsked, UNASKED);
  for (;;) {
    show(namespace, name, state);
    if (isAsked()) {
      state = beginNext(state);
      show(namespace, name, state);
      const outcome = await CancellationScope.nonCancellable(() => runOperation(id, state, outcomes, waits));
      state = applyOutcome(state, outcome, now());
    } else if (isDue()) {
      await continueAsNew<typeof machine>({ namespace, name, ...(waits ? { waits } : {}), state });
    } else if (state.isPresent) {
      await condition(isAskedOrDue);
    } else {
      const keptMs = keysLiveForMs(state, Date.now());
      if (keptMs === 0) return toMachine(namespace, name, state);
      await condition(isAskedOrDue, keptMs);
    }
  }
}

function refuse(admission: Admission): void {
  if (admission.kind === 'Refuse') throw ApplicationFailure.nonRetryable(admission.message, admission.type);
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
    const { revision = null, proxyVersion = null } = row;
    // What is not known any more is taken away, by null.
    upsertMemo({ ...row, revision, proxyVersion });
    upsertSearchAttributes([
      { key: searchAttributes.namespace, value: namespace },
      { key: searchAttributes.phase, value: view.phase },
      { key: searchAttributes.workloadGroup, value: view.workloadGroup },
      { key: searchAttributes.revision, value: revision },
      { key: searchAttributes.proxyVersion, value: proxyVersion },
      { key: searchAttributes.outdated, value: row.outdated },
    ]);
  };
}
