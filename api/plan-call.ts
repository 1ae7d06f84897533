/** `validateOnly`: what an onboarding would find and do, asked of a machine's entity where there is one, and of `planMachine`. */
import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';

import type { OnboardPreview, OnboardRequest, PlanMachineInput } from '../workflows/messages.ts';
import { entityId, TASK_QUEUE } from './machine-calls.ts';
import { operationRequest } from './operation-request.ts';
import { problem } from './problems.ts';
import type { OnboardMachine, Plan } from './schemas/machine.ts';
import type { Temporal } from './temporal.ts';

/** Facts of an unreachable machine are retried for half a minute before the plan says so. */
const PLAN_WITHIN_MS = 60_000;
/** Temporal's word that the plan timed out comes before the caller's own deadline. */
const TIMEOUT_TOLD_WITHIN_MS = 5_000;
/** A worker that is there takes a workflow's first task within this. */
const WORKER_TAKES_WITHIN_MS = 3_500;
/** What is left of the caller's 5 s then: to look, and to end the plan. */
const LOOK_WITHIN_MS = 700;

/** Runs `planMachine` and waits for its answer; a plan that no worker takes is ended, so that nothing runs later. */
export async function planMachine(temporal: Temporal, body: OnboardMachine): Promise<Plan> {
  const request = { ...operationRequest({ verb: 'onboard', ...body, body, idempotencyKey: undefined }), body };
  const { isMember, refusal } = await temporal.inTime(() => preview(temporal, request));
  if (refusal?.type === 'MachineExists') throw problem('machine-exists', { detail: refusal.message });
  const plan = await temporal.inTime(() =>
    temporal.client.workflow.start<(input: PlanMachineInput) => Promise<Plan>>('planMachine', {
      workflowId: `plan-${request.operationId}`,
      taskQueue: TASK_QUEUE,
      args: [{ body, isMember }],
      workflowExecutionTimeout: PLAN_WITHIN_MS,
      staticSummary: `Plan of ${body.namespace}/${body.name}`,
    }),
  );
  const answered = new AbortController();
  try {
    return await Promise.race([
      temporal.inTime(() => plan.result(), PLAN_WITHIN_MS + TIMEOUT_TOLD_WITHIN_MS),
      refuseWithoutWorker(temporal, plan, answered.signal),
    ]);
  } finally {
    answered.abort();
  }
}

/** A machine without a running entity is no member, and a request for it starts a new one. */
async function preview({ client }: Temporal, request: OnboardRequest): Promise<OnboardPreview> {
  const entity = client.workflow.getHandle(entityId(request.body));
  try {
    const { status } = await entity.describe();
    if (status.name !== 'RUNNING') return { isMember: false };
    return await entity.query<OnboardPreview, [OnboardRequest]>('previewOnboard', request);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { isMember: false };
    throw error;
  }
}

/** Rejects when no worker has taken the workflow in time; else never settles before the signal. */
async function refuseWithoutWorker(temporal: Temporal, plan: WorkflowHandle, answered: AbortSignal): Promise<never> {
  await delay(WORKER_TAKES_WITHIN_MS, undefined, { signal: answered });
  const isTaken = await temporal.inTime(async () => {
    const { historyLength } = await plan.describe();
    const eventsBeforeAWorker = 2;
    if (historyLength > eventsBeforeAWorker) return true;
    await plan.terminate('no worker took the plan in time');
    return false;
  }, LOOK_WITHIN_MS);
  if (isTaken) return new Promise<never>(() => undefined);
  throw problem('no-worker');
}
