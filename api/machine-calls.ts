/** What the API asks of a machine's entity: by name and by type, over Temporal. */
import { setTimeout as delay } from 'node:timers/promises';

import { QueryNotRegisteredError, WithStartWorkflowOperation } from '@temporalio/client';
import type { WorkflowHandle } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowNotFoundError } from '@temporalio/common';

import type {
  Accepted,
  MachineInput,
  OffboardRequest,
  OnboardRequest,
  PlanMachineInput,
} from '../workflows/messages.ts';
import { operationRequest } from './operation-request.ts';
import { problem } from './problems.ts';
import type { Machine, OnboardMachine, Plan } from './schemas/machine.ts';
import type { Operation } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

interface Target {
  readonly namespace: string;
  readonly name: string;
}

const TASK_QUEUE = 'meshlift';
/** Facts of an unreachable machine are retried for half a minute before the plan says so. */
const PLAN_WITHIN_MS = 60_000;
/** Temporal's word that the plan timed out comes before the caller's own deadline. */
const TIMEOUT_TOLD_WITHIN_MS = 5_000;
/** A worker that is there takes a workflow's first task within this. */
const WORKER_TAKES_WITHIN_MS = 3_500;

const entityId = ({ namespace, name }: Target): string => `machine/${namespace}/${name}`;

/** Starts the machine's entity, or finds the running one, and asks it to onboard. */
export async function onboardMachine(
  temporal: Temporal,
  body: OnboardMachine,
  idempotencyKey?: string,
): Promise<Operation> {
  const { namespace, name, workloadGroup } = body;
  const target = { namespace, name };
  const request = { ...operationRequest({ verb: 'onboard', ...target, body, idempotencyKey }), body };
  const entity = new WithStartWorkflowOperation<(input: MachineInput) => Promise<unknown>>('machine', {
    workflowId: entityId(target),
    taskQueue: TASK_QUEUE,
    args: [target],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `Machine ${namespace}/${name} of ${workloadGroup}`,
    // Set at the start so that the list and the UI know the machine before a worker does.
    typedSearchAttributes: [
      { key: defineSearchAttributeKey('MeshliftNamespace', 'KEYWORD'), value: namespace },
      { key: defineSearchAttributeKey('MeshliftPhase', 'KEYWORD'), value: 'Onboarding' },
      { key: defineSearchAttributeKey('MeshliftWorkloadGroup', 'KEYWORD'), value: workloadGroup },
    ],
  });
  const { operationId } = await temporal.inTime(() =>
    temporal.client.workflow.executeUpdateWithStart<
      typeof entity extends WithStartWorkflowOperation<infer T> ? T : never,
      Accepted,
      [OnboardRequest]
    >('onboard', { updateId: request.operationId, args: [request], startWorkflowOperation: entity }),
  );
  return accepted(temporal, operationId, 'onboard', target);
}

/** Asks the running entity to offboard; a machine without one is not found. */
export async function offboardMachine(temporal: Temporal, target: Target, idempotencyKey?: string): Promise<Operation> {
  const request = operationRequest({ verb: 'offboard', ...target, body: null, idempotencyKey });
  const entity = temporal.client.workflow.getHandle(entityId(target));
  const { operationId } = await orNotFound(target, () =>
    temporal.inTime(() =>
      entity.executeUpdate<Accepted, [OffboardRequest]>('offboard', { updateId: request.operationId, args: [request] }),
    ),
  );
  return accepted(temporal, operationId, 'offboard', target);
}

/** Answers for machines that left as well, from their last run, while Temporal keeps it. */
export function readMachine(temporal: Temporal, target: Target): Promise<Machine> {
  const entity = temporal.client.workflow.getHandle(entityId(target));
  return orNotFound(target, () => temporal.inTime(() => entity.query<Machine>('machine')));
}

/** Runs `planMachine` and waits for its answer; a plan that no worker takes is ended, so that nothing runs later. */
export async function planMachine(temporal: Temporal, body: OnboardMachine): Promise<Plan> {
  const { operationId } = operationRequest({ verb: 'onboard', ...body, body, idempotencyKey: undefined });
  const plan = await temporal.inTime(() =>
    temporal.client.workflow.start<(input: PlanMachineInput) => Promise<Plan>>('planMachine', {
      workflowId: `plan-${operationId}`,
      taskQueue: TASK_QUEUE,
      args: [{ body }],
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

/** Rejects when no worker has taken the workflow in time; else never settles before the signal. */
async function refuseWithoutWorker(temporal: Temporal, plan: WorkflowHandle, answered: AbortSignal): Promise<never> {
  await delay(WORKER_TAKES_WITHIN_MS, undefined, { signal: answered });
  const { historyLength } = await plan.describe();
  const eventsBeforeAWorker = 2;
  if (historyLength > eventsBeforeAWorker) return new Promise<never>(() => undefined);
  await temporal.inTime(() => plan.terminate('no worker took the plan in time'));
  throw problem('no-worker');
}

async function orNotFound<Result>({ namespace, name }: Target, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    // An entity that was started and asked nothing yet refuses the query: there is no machine.
    if (!(error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError)) throw error;
    throw problem('machine-not-found', {
      detail: `Machine ${namespace}/${name} is not known, or has left the mesh; GET /v1/machines?namespace=${namespace} lists those that are`,
      cause: error,
    });
  }
}

/** The same for the first request and for every repeat of it; the operation itself says how far it is. */
function accepted(temporal: Temporal, id: string, verb: Operation['verb'], { namespace, name }: Target): Operation {
  return {
    id,
    verb,
    target: { namespace, name },
    phase: 'Pending',
    steps: [],
    conditions: [],
    next: `GET /v1/operations/${id}`,
    ...temporal.workflowUrl(id),
  };
}
