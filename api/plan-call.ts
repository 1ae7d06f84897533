/** `validateOnly`: what a verb would find and do, asked of a machine's entity where there is one, and of `planMachine`. */
import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';

import type {
  MemberPreview,
  OffboardPreviewRequest,
  OnboardPreview,
  OnboardRequest,
  Operate,
  OperateRequest,
  PlanMachineInput,
} from '../workflows/messages.ts';
import { entityId, notFound, TASK_QUEUE } from './machine-calls.ts';
import type { Target } from './machine-calls.ts';
import { operationRequest } from './operation-request.ts';
import { problem, problemOfRefusal } from './problems.ts';
import type { OnboardMachine, Plan } from './schemas/machine.ts';
import type { Temporal } from './temporal.ts';

/** Facts of an unreachable machine are retried for half a minute before the plan says so. */
const PLAN_WITHIN_MS = 60_000;
/** Temporal's word that the plan timed out comes before the caller's own deadline. */
const TIMEOUT_TOLD_WITHIN_MS = 5_000;
/** From the request on: a worker that is there has taken the plan by then, and the rest of the caller's 5 s is left to look. */
const WORKER_TAKES_WITHIN_MS = 3_200;
/** A plan that started late, as Temporal is slow, is given this at least. */
const WORKER_TAKES_AT_LEAST_MS = 800;
const LOOK_WITHIN_MS = 800;
/** The caller does not wait for the end of a plan that no worker took. */
const END_WITHIN_MS = 10_000;

type MemberVerb = Operate | { readonly verb: 'offboard'; readonly force?: boolean };

/** What is to be planned; where the entity was asked for it, a worker is there. */
interface Asked {
  readonly input: PlanMachineInput;
  readonly hasWorkerAnswered: boolean;
}

/** Plans an onboarding. A machine without a running entity is no member, and a request for it starts a new one. */
export function planOnboarding(temporal: Temporal, body: OnboardMachine): Promise<Plan> {
  const request = { ...operationRequest({ verb: 'onboard', ...body, body, idempotencyKey: undefined }), body };
  return runPlan(temporal, body, request.operationId, async () => {
    const preview = await askEntity<OnboardPreview>(temporal, body, 'previewOnboard', request);
    refuse(preview);
    return { input: { body, isMember: preview?.isMember ?? false }, hasWorkerAnswered: preview !== undefined };
  });
}

/** Plans a verb on a machine that is in the mesh; one that is not there is not found. */
export function planVerb(temporal: Temporal, target: Target, operate: MemberVerb): Promise<Plan> {
  const { verb, ...asked } = operate;
  const body = 'body' in asked ? asked.body : asked;
  const request = { ...operationRequest({ verb, ...target, body, idempotencyKey: undefined }), ...operate };
  return runPlan(temporal, target, request.operationId, async () => {
    const preview = await askEntity<MemberPreview>(temporal, target, 'previewMember', request);
    refuse(preview);
    if (preview?.body === undefined) throw notFound(target);
    const { body: desired, member } = preview;
    return { input: { body: desired, isMember: true, member, operate }, hasWorkerAnswered: true };
  });
}

/** With one operation more in its queue than it takes, a machine can still be planned for. */
function refuse(preview: OnboardPreview | MemberPreview | undefined): void {
  const { type, message } = preview?.refusal ?? { type: 'MachineBusy', message: '' };
  if (type !== 'MachineBusy') throw problemOfRefusal(type, message);
}

/** Undefined where no entity runs. */
async function askEntity<Preview>(
  { client }: Temporal,
  target: Target,
  query: string,
  request: OnboardRequest | OperateRequest | OffboardPreviewRequest,
): Promise<Preview | undefined> {
  const entity = client.workflow.getHandle(entityId(target));
  try {
    const { status } = await entity.describe();
    return status.name === 'RUNNING' ? await entity.query<Preview, [typeof request]>(query, request) : undefined;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** Runs `planMachine` and waits for its answer; a plan that no worker takes is ended, so that nothing runs later. */
async function runPlan(
  temporal: Temporal,
  { namespace, name }: Target,
  operationId: string,
  ask: () => Promise<Asked>,
): Promise<Plan> {
  const takenBy = Date.now() + WORKER_TAKES_WITHIN_MS;
  const { plan, hasWorkerAnswered } = await temporal.inTime(async () => {
    const { input, ...asked } = await ask();
    const plan = await temporal.client.workflow.start<(input: PlanMachineInput) => Promise<Plan>>('planMachine', {
      workflowId: `plan-${operationId}`,
      taskQueue: TASK_QUEUE,
      args: [input],
      workflowExecutionTimeout: PLAN_WITHIN_MS,
      staticSummary: `Plan of ${namespace}/${name}`,
    });
    return { plan, ...asked };
  });
  const answered = new AbortController();
  try {
    return await Promise.race([
      temporal.inTime(() => plan.result(), PLAN_WITHIN_MS + TIMEOUT_TOLD_WITHIN_MS),
      ...(hasWorkerAnswered ? [] : [refuseWithoutWorker(temporal, plan, takenBy, answered.signal)]),
    ]);
  } finally {
    answered.abort();
  }
}

/** Rejects when no worker has taken the workflow in time; else never settles before the signal. */
async function refuseWithoutWorker(
  { client }: Temporal,
  plan: WorkflowHandle,
  takenBy: number,
  answered: AbortSignal,
): Promise<never> {
  await delay(Math.max(takenBy - Date.now(), WORKER_TAKES_AT_LEAST_MS), undefined, { signal: answered });
  let isTaken = false;
  try {
    const { historyLength } = await client.withDeadline(Date.now() + LOOK_WITHIN_MS, () => plan.describe());
    const eventsBeforeAWorker = 2;
    isTaken = historyLength > eventsBeforeAWorker;
  } finally {
    if (!isTaken) endUnheard({ client }, plan);
  }
  if (isTaken) return new Promise<never>(() => undefined);
  throw problem('no-worker');
}

/** One that has just ended by itself, or that Temporal cannot end now and ends by its time-out, does no harm: a plan only reads. */
function endUnheard({ client }: Pick<Temporal, 'client'>, plan: WorkflowHandle): void {
  client
    .withDeadline(Date.now() + END_WITHIN_MS, () => plan.terminate('no worker took the plan in time'))
    .catch(() => undefined);
}
