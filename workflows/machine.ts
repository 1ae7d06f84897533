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
  claimUpdate,
  machineQuery,
  offboardUpdate,
  onboardUpdate,
  operateUpdate,
  operationFinishedSignal,
  patchUpdate,
  previewMemberQuery,
  previewOnboardQuery,
  releaseSignal,
  searchAttributes,
} from './messages.ts';
import type {
  Accepted,
  MachineInput,
  OffboardRequest,
  OnboardRequest,
  OperateRequest,
  OperationOutcome,
  OperationRequest,
  PatchRequest,
} from './messages.ts';
import { now } from './operation.ts';
import { runOperation } from './run-operation.ts';
import { accept, admitClaim, admitOffboard, admitOnboard, admitOperate, keysLiveForMs } from './plan/admission.ts';
import type { Admission } from './plan/admission.ts';
import { isMember, memberState, newMachine, releaseClaim, toMachine } from './plan/machine-state.ts';
import type { MachineState } from './plan/machine-state.ts';
import { describeMachine, toRow } from './plan/describe-machine.ts';
import { patchMachine } from './plan/patch-machine.ts';
import { noteOverdue, overdueInMs } from './plan/temporary.ts';
import { applyOutcome, beginNext } from './plan/turns.ts';

/** A machine that was started and never asked anything (its first request was refused) ends after this. */
const UNASKED = '1 minute';

export async function machine({ namespace, name, waits, state: carried }: MachineInput): Promise<Machine | undefined> {
  const id = `${namespace}/${name}`;
  let state = carried ?? newMachine;
  const outcomes = new Map<string, OperationOutcome>();

  // A request that comes with the outcome of the operation before it is judged by that outcome.
  const fold = (): MachineState => {
    const outcome = state.current && outcomes.get(state.current.operationId);
    if (outcome) state = applyOutcome(state, outcome, now());
    return state;
  };
  const admitsOnboard = (request: OnboardRequest) => admitOnboard(fold(), request, Date.now());
  const admitsOffboard = (request: OffboardRequest) => admitOffboard(fold(), request, id, Date.now());
  const admitsOperate = (request: OperateRequest) => admitOperate(fold(), request, id, Date.now());
  const takeOn = (admission: Admission, request: OperationRequest): Accepted => {
    if (admission.kind === 'Refuse') throw ApplicationFailure.nonRetryable(admission.message, admission.type);
    state = accept(state, admission, request, Date.now());
    return { operationId: admission.kind === 'Same' ? admission.operationId : admission.operation.operationId };
  };
  const view = (): Machine => {
    const machine = toMachine(namespace, name, state);
    if (!machine) throw ApplicationFailure.nonRetryable(`Nothing was asked of machine ${id} yet`, 'MachineNotFound');
    return machine;
  };
  setHandler(machineQuery, view);
  setHandler(previewOnboardQuery, (request: OnboardRequest) => ({
    isMember: isMember(state),
    ...refusalOf(admitOnboard(state, request, Date.now())),
  }));
  setHandler(previewMemberQuery, (request) => {
    const refusal = refusalOf(
      request.verb === 'offboard'
        ? admitOffboard(state, request, id, Date.now())
        : admitOperate(state, request, id, Date.now()),
    );
    return { ...(state.desired ? { body: state.desired } : {}), member: memberState(state), ...refusal };
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
  setHandler(operateUpdate, (request: OperateRequest) => takeOn(admitsOperate(request), request), {
    validator: (request: OperateRequest) => {
      refuse(admitsOperate(request));
    },
    description: 'Does a verb on the machine, which is in the mesh; answers with the operation',
  });
  setHandler(
    patchUpdate,
    (request: PatchRequest) => {
      const patched = patchMachine(fold(), request, id);
      refuse(patched);
      if (patched.kind === 'Patched') state = noteOverdue(patched.state, id, Date.now());
      return view();
    },
    {
      validator: (request: PatchRequest) => {
        refuse(patchMachine(fold(), request, id));
      },
      description: 'Changes what is desired of the machine beside its specification; answers with the machine',
    },
  );
  setHandler(
    claimUpdate,
    (by: string) => {
      state = { ...fold(), claimedBy: by };
      return undefined;
    },
    {
      validator: (by: string) => {
        refuse(admitClaim(fold(), by, id) ?? { kind: 'Claimed' });
      },
      description: 'Keeps the machine for a migration',
    },
  );
  setHandler(releaseSignal, (by) => {
    state = releaseClaim(state, by);
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
    state = noteOverdue(state, id, Date.now());
    show(namespace, name, state);
    if (isAsked()) {
      state = beginNext(state);
      show(namespace, name, state);
      const outcome = await CancellationScope.nonCancellable(() => runOperation(id, state, outcomes, waits));
      state = applyOutcome(state, outcome, now());
      outcomes.delete(outcome.operationId);
    } else if (isDue()) {
      await continueAsNew<typeof machine>({ namespace, name, ...(waits ? { waits } : {}), state });
    } else if (state.isPresent) {
      const { version } = state;
      const isWoken = () => isAskedOrDue() || state.version !== version;
      const overdueMs = overdueInMs(state.desired?.intent, Date.now());
      await (overdueMs === undefined ? condition(isWoken) : condition(isWoken, overdueMs));
    } else {
      const keptMs = keysLiveForMs(state, Date.now());
      if (keptMs === 0) return toMachine(namespace, name, state);
      await condition(isAskedOrDue, keptMs);
    }
  }
}

type Judged = { readonly kind: string } | Extract<Admission, { kind: 'Refuse' }>;

function refuse(judged: Judged): void {
  const { refusal } = refusalOf(judged);
  if (refusal) throw ApplicationFailure.nonRetryable(refusal.message, refusal.type);
}

function refusalOf(judged: Judged): { refusal?: { type: string; message: string } } {
  return 'message' in judged ? { refusal: { type: judged.type, message: judged.message } } : {};
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
