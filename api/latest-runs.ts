/**
 * Which run stands for a workflow id. A machine's entity that was started and never asked anything (its first request was
 * refused or lost) knows nothing of the machine: an earlier run that was asked something does.
 */
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';

interface Described extends Pick<WorkflowExecutionInfo, 'typedSearchAttributes'> {
  readonly memo?: Readonly<Record<string, unknown>> | undefined;
}

const phaseKey = defineSearchAttributeKey('MeshliftPhase', 'KEYWORD');

/** An entity writes its memo, and a phase of its own, when it takes on its first request; an operation when it starts. */
export function wasAsked(memo: Readonly<Record<string, unknown>> | undefined, phase: unknown): boolean {
  return Object.keys(memo ?? {}).length > 0 || (typeof phase === 'string' && phase !== 'Onboarding');
}

/** The same of a run as Temporal's client describes and lists it. */
export function wasRunAsked({ memo, typedSearchAttributes }: Described): boolean {
  return wasAsked(memo, typedSearchAttributes.get(phaseKey));
}

/** The last run of each id that was asked anything; where none was, the one that runs. */
export async function latestRunIds(
  client: Client,
  workflowIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const latest = new Map<string, { readonly runId: string; readonly rank: number; readonly startedAt: number }>();
  if (workflowIds.length === 0) return new Map();
  const ids = workflowIds.map((id) => `'${id}'`).join(', ');
  const query = `WorkflowId IN (${ids}) AND ExecutionStatus != 'ContinuedAsNew'`;
  for await (const run of client.workflow.list({ query })) {
    const { workflowId, runId, startTime, status } = run;
    const rank = wasRunAsked(run) ? 2 : status.name === 'RUNNING' ? 1 : 0;
    const startedAt = startTime.getTime();
    const known = latest.get(workflowId);
    if (known === undefined || rank > known.rank || (rank === known.rank && startedAt > known.startedAt))
      latest.set(workflowId, { runId, rank, startedAt });
  }
  return new Map([...latest].map(([workflowId, { runId }]) => [workflowId, runId]));
}
