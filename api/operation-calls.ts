/** What the API asks of an operation's workflow. */
import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowExecutionDescription, WorkflowHandle } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/common';
import { decodeTime } from 'ulid';

import { operationOfMachine } from './operation-of-machine.ts';
import { problem } from './problems.ts';
import { verbOfWorkflow } from './rows.ts';
import type { Operation } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

/** The machine's entity starts an accepted operation a moment after it has answered. */
const STARTS_WITHIN_MS = 3_000;
const LOOK_AGAIN_MS = 100;

interface Found {
  readonly handle: WorkflowHandle;
  readonly description: WorkflowExecutionDescription;
}

/**
 * A running operation is asked; an ended one left its last word in its memo and needs no worker, while Temporal keeps it;
 * one that waits for its turn is known to its machine.
 */
export async function readOperation(temporal: Temporal, id: string): Promise<Operation> {
  const found = await findOperation(temporal, id);
  if (!('handle' in found)) return found;
  const { handle, description } = found;
  const lastWord = description.memo?.['operation'];
  const isEnded = description.status.name !== 'RUNNING';
  const operation =
    isEnded && lastWord !== undefined
      ? (lastWord as Operation)
      : await temporal.inTime(() => handle.query<Operation>('operation'));
  return { ...operation, ...temporal.workflowUrl(id) };
}

/**
 * Asks the operation to stop and undo what it did; this needs no worker, the undoing does. The operation says in its memo
 * from when on there is nothing to stop; one that says nothing can be stopped while it runs.
 */
export async function cancelOperation(temporal: Temporal, id: string): Promise<void> {
  const found = await findOperation(temporal, id);
  if (!('handle' in found)) {
    throw problem('operation-not-running', {
      detail: `Operation ${id} does not run (${found.phase}); one that waits can be cancelled when its turn comes`,
    });
  }
  const { handle, description } = found;
  if (description.status.name !== 'RUNNING') {
    throw problem('operation-not-running', {
      detail: `Operation ${id} has ended already; GET /v1/operations/${id} says how`,
    });
  }
  if (description.memo?.['isCancellable'] === false) {
    throw problem('operation-not-cancellable', {
      detail:
        verbOfWorkflow[description.type] === 'offboard'
          ? `Operation ${id} cannot be stopped any more: it is being undone, or has stopped the machine's proxy and only goes forward; GET /v1/operations/${id} says how far it is`
          : `Operation ${id} cannot be stopped any more: what it did is being undone, or it is at its end; GET /v1/operations/${id} says how far it is`,
    });
  }
  await temporal.inTime(() => handle.cancel());
}

async function findOperation(temporal: Temporal, id: string): Promise<Found | Operation> {
  const handle = temporal.client.workflow.getHandle(id);
  for (;;) {
    try {
      const description = await temporal.inTime(() => handle.describe());
      if (verbOfWorkflow[description.type] === undefined) throw notFound(id);
      return { handle, description };
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      const known = await operationOfMachine(temporal, id);
      const isOld = ageMs(id) > STARTS_WITHIN_MS;
      if (known !== undefined && (known.phase !== 'Running' || isOld)) return known;
      if (isOld) throw notFound(id, error);
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

function notFound(id: string, cause?: unknown) {
  return problem('operation-not-found', {
    detail: `There is no operation ${id}, or it ended longer ago than Temporal keeps it; GET /v1/operations lists those that are`,
    cause,
  });
}
