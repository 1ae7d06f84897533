/** What the API asks of an operation's workflow. */
import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import { defineSearchAttributeKey, WorkflowNotFoundError } from '@temporalio/common';
import { decodeTime } from 'ulid';

import type { ControlRequest } from '../workflows/plan/cutover-state.ts';
import type { Target } from './machine-calls.ts';
import { operationOfMachine, possibleTargets } from './operation-of-machine.ts';
import { problem, ProblemError } from './problems.ts';
import { endPhases, verbOf } from './rows.ts';
import type { Operation } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

/** The machine's entity starts an accepted operation a moment after it has answered. */
const STARTS_WITHIN_MS = 3_000;
const LOOK_AGAIN_MS = 100;
const namespaceKey = defineSearchAttributeKey('MeshliftNamespace', 'KEYWORD');

interface Found {
  readonly handle: WorkflowHandle;
  readonly description: WorkflowExecutionDescription;
}

/**
 * A running operation is asked; an ended one left its last word in its memo and needs no worker, while Temporal keeps it;
 * one that waits for its turn is known to its machine.
 */
export function readOperation(temporal: Temporal, id: string, run?: string): Promise<Operation> {
  return temporal.inTime(() => lookUp(temporal, id, run));
}

async function lookUp(temporal: Temporal, id: string, run?: string): Promise<Operation> {
  const found = await findOperation(temporal, id, run);
  if (!('handle' in found)) return found;
  const { handle, description } = found;
  const lastWord = description.memo?.['operation'];
  const isEnded = description.status.name !== 'RUNNING';
  const told = isEnded && lastWord !== undefined ? (lastWord as Operation) : await handle.query<Operation>('operation');
  const operation = isEnded && !endPhases.includes(told.phase) ? endedFromOutside(told) : told;
  return {
    ...operation,
    ...(description.type === 'migrateWorkload' ? { run: description.runId } : {}),
    ...temporal.workflowUrl(id),
  };
}

/** It was ended by hand, in the middle: its own last word says that it runs. */
function endedFromOutside({ id, ...told }: Operation): Operation {
  const message = `Operation ${id} was ended from outside Meshlift; what it did until then stands`;
  return { id, ...told, phase: 'Failed', message };
}

/**
 * Asks the operation to stop and undo what it did; this needs no worker, the undoing does. The operation says in its memo
 * from when on there is nothing to stop; one that says nothing can be stopped while it runs.
 */
export function cancelOperation(temporal: Temporal, id: string): Promise<void> {
  return temporal.inTime(() => cancel(temporal, id));
}

async function cancel(temporal: Temporal, id: string): Promise<void> {
  const found = await findOperation(temporal, id);
  if (!('handle' in found)) {
    throw problem('operation-not-running', {
      detail: `Operation ${id} does not run (${found.phase}); one that waits can be cancelled when its turn comes`,
    });
  }
  const { handle, description } = found;
  if (description.status.name !== 'RUNNING') throw ended(id);
  if (description.memo?.['isCancellable'] === false) {
    throw problem('operation-not-cancellable', {
      detail:
        description.type === 'offboardMachine'
          ? `Operation ${id} cannot be stopped any more: it is being undone, or has stopped the machine's proxy and only goes forward; GET /v1/operations/${id} says how far it is`
          : `Operation ${id} cannot be stopped any more: what it did is being undone, or it is at its end; GET /v1/operations/${id} says how far it is`,
    });
  }
  try {
    await handle.cancel();
  } catch (error) {
    // It ended since it was looked up.
    throw error instanceof WorkflowNotFoundError ? ended(id, error) : error;
  }
}

/** Says a person's word to a migration that runs; refused with 409 where it does not apply now, and was not said before. */
export function controlOperation(temporal: Temporal, id: string, request: ControlRequest): Promise<Operation> {
  return temporal.inTime(async () => {
    const found = await findOperation(temporal, id);
    if (!('handle' in found) || found.description.type !== 'migrateWorkload') {
      throw problem('control-not-applicable', { detail: `Operation ${id} is no migration: nobody is asked about it` });
    }
    const { handle, description } = found;
    const { idempotencyKey: key, bodyDigest } = request;
    const updateId = key === undefined ? undefined : `${key}.${bodyDigest}`;
    try {
      if (description.status.name === 'RUNNING') {
        const asked = { args: [request] as [ControlRequest], ...(updateId === undefined ? {} : { updateId }) };
        return await handle.executeUpdate<Operation, [ControlRequest]>('control', asked);
      }
    } catch (error) {
      // It ended since it was looked up.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
    if (updateId === undefined || !(await wasHeard(handle, updateId))) throw ended(id);
    return await lookUp(temporal, id);
  });
}

/** Whether a run that has ended took the update: Temporal keeps what each was answered for as long as the run. */
async function wasHeard(handle: WorkflowHandle, updateId: string): Promise<boolean> {
  try {
    await handle.getUpdateHandle(updateId).result();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

function ended(id: string, cause?: unknown) {
  const detail = `Operation ${id} has ended already; GET /v1/operations/${id} says how`;
  return problem('operation-not-running', { detail, cause });
}

/** Whose operation it is, whether or not it runs; undefined where there is none. */
export function targetOfOperation(temporal: Temporal, id: string): Promise<Target | undefined> {
  return temporal.inTime(async () => {
    try {
      const found = await findOperation(temporal, id);
      if (!('handle' in found)) return found.target;
      const told = found.description.typedSearchAttributes.get(namespaceKey);
      return possibleTargets(id).find(({ namespace }) => namespace === told);
    } catch (error) {
      if (error instanceof ProblemError && error.problemType === 'operation-not-found') return undefined;
      throw error;
    }
  });
}

async function findOperation(temporal: Temporal, id: string, run?: string): Promise<Found | Operation> {
  const handle = temporal.client.workflow.getHandle(id, run);
  for (;;) {
    try {
      const description = await handle.describe();
      if (verbOf({ workflowType: description.type, workflowId: id }) === undefined) throw operationNotFound(id);
      return { handle, description };
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      if (run !== undefined) throw operationNotFound(`${id} with run ${run}`, error);
      const known = await operationOfMachine(temporal, id);
      const isOld = ageMs(id) > STARTS_WITHIN_MS;
      if (known !== undefined && (known.phase !== 'Running' || isOld)) return known;
      if (isOld) throw operationNotFound(id, error);
    }
    await delay(LOOK_AGAIN_MS);
  }
}

/** From the ULID the id ends with; an id without one is as old as can be. */
function ageMs(id: string): number {
  const [ulid] = /[0-9A-HJKMNP-TV-Z]{26}$/.exec(id) ?? [];
  const age = ulid === undefined ? Infinity : Date.now() - decodeTime(ulid);
  return age < 0 ? Infinity : age;
}

export function operationNotFound(id: string, cause?: unknown): ProblemError {
  return problem('operation-not-found', {
    detail: `There is no operation ${id}, or it ended longer ago than Temporal keeps it; GET /v1/operations lists those that are`,
    cause,
  });
}
