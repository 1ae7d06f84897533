/** What the API asks of a machine's entity: by name and by type, over Temporal. */
import { QueryNotRegisteredError, WithStartWorkflowOperation } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowNotFoundError } from '@temporalio/common';

import type {
  Accepted,
  MachineInput,
  OffboardRequest,
  OnboardRequest,
  Operate,
  OperateRequest,
  PatchRequest,
} from '../workflows/messages.ts';
import { latestRunIds, wasRunAsked } from './latest-runs.ts';
import { operationRequest } from './operation-request.ts';
import { problem } from './problems.ts';
import type { Machine, OnboardMachine } from './schemas/machine.ts';
import type { Operation } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

export interface Target {
  readonly namespace: string;
  readonly name: string;
}

export const TASK_QUEUE = 'meshlift';
export const entityId = ({ namespace, name }: Target): string => `machine/${namespace}/${name}`;

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

interface OffboardCall {
  /** Take away the cluster's side alone, of a machine that does not answer any more. */
  readonly force: boolean;
  readonly idempotencyKey: string | undefined;
}

/** Asks the running entity to offboard; a machine without one is not found. */
export function offboardMachine(temporal: Temporal, target: Target, call: OffboardCall): Promise<Operation> {
  const { force, idempotencyKey } = call;
  const body = force ? { force } : null;
  const request = operationRequest({ verb: 'offboard', ...target, body, idempotencyKey });
  return askMember(temporal, target, 'offboard', { ...request, ...(force ? { force } : {}) });
}

/** Asks the running entity for a verb; a machine without one is not found. */
export function operateMachine(
  temporal: Temporal,
  target: Target,
  operate: Operate,
  idempotencyKey?: string,
): Promise<Operation> {
  const { verb, body } = operate;
  return askMember(temporal, target, 'operate', {
    ...operationRequest({ verb, ...target, body, idempotencyKey }),
    ...operate,
  });
}

/** The update that the verb comes with, on the entity that is there: unlike an onboarding, it never starts one. */
async function askMember(
  temporal: Temporal,
  target: Target,
  update: 'offboard' | 'operate',
  request: OffboardRequest | OperateRequest,
): Promise<Operation> {
  const { operationId } = await askEntity<Accepted>(temporal, target, update, request.operationId, request);
  return accepted(temporal, operationId, 'verb' in request ? request.verb : 'offboard', target);
}

/** Changes what is desired of a machine beside its specification; answers with the machine. */
export function patchMachine(temporal: Temporal, target: Target, request: PatchRequest): Promise<Machine> {
  return askEntity<Machine>(temporal, target, 'patch', undefined, request);
}

function askEntity<Result>(
  temporal: Temporal,
  target: Target,
  update: string,
  updateId: string | undefined,
  request: OffboardRequest | OperateRequest | PatchRequest,
): Promise<Result> {
  const entity = temporal.client.workflow.getHandle(entityId(target));
  return orNotFound(target, () =>
    temporal.inTime(() =>
      entity.executeUpdate<Result, [typeof request]>(update, {
        args: [request],
        ...(updateId === undefined ? {} : { updateId }),
      }),
    ),
  );
}

/**
 * Answers for machines that left as well, from their last run, while Temporal keeps it. An entity that was ended from outside
 * no longer looks after its machine, whatever phase it told last.
 */
export function readMachine(temporal: Temporal, target: Target): Promise<Machine> {
  return orNotFound(target, () =>
    temporal.inTime(async () => {
      const { handle, status } = await latestEntity(temporal, target);
      const machine = await handle.query<Machine>('machine');
      return status === 'RUNNING' || status === 'COMPLETED' ? machine : { ...machine, phase: 'Failed' as const };
    }),
  );
}

/** The run that knows the machine: an entity that was asked nothing leaves the word to the run before it. */
async function latestEntity({ client }: Temporal, target: Target) {
  const workflowId = entityId(target);
  const last = client.workflow.getHandle(workflowId);
  const described = await last.describe();
  if (wasRunAsked(described)) return { handle: last, status: described.status.name };
  const runId = (await latestRunIds(client, [workflowId])).get(workflowId);
  if (runId === undefined) return { handle: last, status: described.status.name };
  const handle = client.workflow.getHandle(workflowId, runId);
  return { handle, status: (await handle.describe()).status.name };
}

async function orNotFound<Result>(target: Target, call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    // An entity that was started and asked nothing yet refuses the query: there is no machine.
    if (!(error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError)) throw error;
    throw notFound(target, error);
  }
}

export function notFound({ namespace, name }: Target, cause?: unknown) {
  return problem('machine-not-found', {
    detail: `Machine ${namespace}/${name} is not known, or has left the mesh; GET /v1/machines?namespace=${namespace} lists those that are`,
    cause,
  });
}

/** The same for the first request and for every repeat of it; the operation itself says how far it is. */
export function accepted(
  temporal: Temporal,
  id: string,
  verb: Operation['verb'],
  { namespace, name }: Target,
): Operation {
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
