/** What the API asks of migrations: one workflow per name, which Temporal starts once. */
import { setTimeout as delay } from 'node:timers/promises';

import { defineSearchAttributeKey, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

import type { MigrationInput } from '../workflows/messages.ts';
import { accepted, TASK_QUEUE } from './machine-calls.ts';
import { operationRequest } from './operation-request.ts';
import { problem } from './problems.ts';
import { endPhases } from './rows.ts';
import { runPlan } from './run-plan.ts';
import type { CreateMigration, MigrationPlan } from './schemas/migration.ts';
import type { Operation } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

interface Target {
  readonly namespace: string;
  readonly name: string;
}

const LOOK_AGAIN_MS = 50;

/** A namespace holds no dot, so no two migrations share an id. */
export const migrationId = ({ namespace, name }: Target): string => `migrate.${namespace}.${name}`;

/**
 * Starts the migration. The same body again is answered with the run that is there; another body while it runs is refused. After its
 * end the name is free.
 */
export async function startMigration(
  temporal: Temporal,
  request: CreateMigration,
  idempotencyKey?: string,
): Promise<Operation> {
  const { namespace, name, workloadGroup, service } = request;
  const id = migrationId(request);
  const { bodyDigest } = operationRequest({ verb: 'migrate', namespace, name, body: request, idempotencyKey });
  const answer = accepted(temporal, id, 'migrate', request);
  const start = () =>
    temporal.client.workflow.start<(input: MigrationInput) => Promise<Operation>>('migrateWorkload', {
      workflowId: id,
      taskQueue: TASK_QUEUE,
      args: [{ request }],
      workflowIdConflictPolicy: 'FAIL',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      staticSummary: `Migrate Service ${namespace}/${service} from WorkloadGroup ${workloadGroup} to pods`,
      memo: {
        ...{ verb: 'migrate', namespace, name, bodyDigest },
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      },
      typedSearchAttributes: [
        { key: defineSearchAttributeKey('MeshliftNamespace', 'KEYWORD'), value: namespace },
        { key: defineSearchAttributeKey('MeshliftPhase', 'KEYWORD'), value: 'Pending' },
        { key: defineSearchAttributeKey('MeshliftWorkloadGroup', 'KEYWORD'), value: workloadGroup },
      ],
    });
  return await temporal.inTime(async () => {
    const seen = await lastRun(temporal, id);
    const isSameKey = idempotencyKey !== undefined && seen?.memo['idempotencyKey'] === idempotencyKey;
    if (seen !== undefined && isSameKey && seen.memo['bodyDigest'] !== bodyDigest)
      throw problem('idempotency-key-reused');
    if (seen !== undefined && isSameKey) return answer;
    // A run that has told its end is closed a moment later: the name is free then.
    for (;;) {
      try {
        await start();
        return answer;
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        const running = await lastRun(temporal, id);
        if (running?.isRunning !== true) continue;
        if (await hasToldItsEnd(temporal, id)) {
          await delay(LOOK_AGAIN_MS);
          continue;
        }
        if (running.memo['bodyDigest'] === bodyDigest) return answer;
        throw problem('migration-exists', {
          detail: `Migration ${namespace}/${name} runs with another body; wait for its end, roll it back, or use another name`,
          cause: error,
        });
      }
    }
  });
}

async function hasToldItsEnd({ client }: Temporal, id: string): Promise<boolean> {
  const { phase } = await client.workflow.getHandle(id).query<Operation>('operation');
  return endPhases.includes(phase);
}

interface LastRun {
  readonly memo: Record<string, unknown>;
  readonly isRunning: boolean;
}

async function lastRun({ client }: Temporal, id: string): Promise<LastRun | undefined> {
  try {
    const { memo = {}, status } = await client.workflow.getHandle(id).describe();
    return { memo, isRunning: status.name === 'RUNNING' };
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return undefined;
    throw error;
  }
}

/** What a migration would find and do; touches nothing. */
export function planMigration(temporal: Temporal, request: CreateMigration): Promise<MigrationPlan> {
  const { namespace, name } = request;
  const asked = { verb: 'migrate', namespace, name, body: request, idempotencyKey: undefined } as const;
  const { operationId } = operationRequest(asked);
  const staticSummary = `Plan of migration ${namespace}/${name}`;
  return runPlan<MigrationPlan>(temporal, { workflowType: 'planMigration', operationId, staticSummary }, () =>
    Promise.resolve({ input: { request } satisfies MigrationInput, hasWorkerAnswered: false }),
  );
}
