/** A workflow that reads, judges and answers: `validateOnly` waits for it. */
import { setTimeout as delay } from 'node:timers/promises';

import type { WorkflowHandle } from '@temporalio/client';

import { TASK_QUEUE } from './machine-calls.ts';
import { problem } from './problems.ts';
import type { Temporal } from './temporal.ts';

/** Facts that cannot be read are retried for half a minute before the plan says so. */
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

interface PlanWorkflow {
  readonly workflowType: string;
  readonly operationId: string;
  readonly staticSummary: string;
}

/**
 * Runs a plan's workflow and waits for its answer; one that no worker takes is ended, so that nothing runs later. `ask` says what is to
 * be planned; where a worker has answered it, one is there.
 */
export async function runPlan<Answer>(
  temporal: Temporal,
  { workflowType, operationId, staticSummary }: PlanWorkflow,
  ask: () => Promise<{ readonly input: unknown; readonly hasWorkerAnswered: boolean }>,
): Promise<Answer> {
  const takenBy = Date.now() + WORKER_TAKES_WITHIN_MS;
  const { plan, hasWorkerAnswered } = await temporal.inTime(async () => {
    const { input, ...asked } = await ask();
    const plan = await temporal.client.workflow.start<(input: unknown) => Promise<Answer>>(workflowType, {
      workflowId: `plan-${operationId}`,
      taskQueue: TASK_QUEUE,
      args: [input],
      workflowExecutionTimeout: PLAN_WITHIN_MS,
      staticSummary,
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
