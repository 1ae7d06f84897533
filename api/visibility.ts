/**
 * Lists from Temporal's visibility store alone (search attributes, memo, status): they answer without a worker. One page is
 * one call to Temporal, plus one where it holds ended runs: only the last run of a workflow id is shown.
 */
import { defaultPayloadConverter } from '@temporalio/common';
import type { Client } from '@temporalio/client';

import { problem } from './problems.ts';

/** One workflow run as the visibility store knows it. */
export interface ListedRun {
  readonly workflowId: string;
  readonly workflowType: string;
  readonly runId: string;
  readonly isRunning: boolean;
  readonly status: RunStatus;
  readonly startedAt: string;
  readonly endedAt?: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly memo: Readonly<Record<string, unknown>>;
}

export interface Page {
  readonly runs: readonly ListedRun[];
  readonly nextPageToken?: string;
}

export interface PageRequest {
  /** Visibility query; every value in it has passed a schema that allows no quote. */
  readonly query: string;
  readonly pageSize: number;
  readonly pageToken: string | undefined;
}

type RawRun = NonNullable<
  Awaited<ReturnType<Client['workflowService']['listWorkflowExecutions']>>['executions']
>[number];

/** temporal.api.enums.v1.WorkflowExecutionStatus */
const statuses = [
  'UNSPECIFIED',
  'RUNNING',
  'COMPLETED',
  'FAILED',
  'CANCELLED',
  'TERMINATED',
  'CONTINUED_AS_NEW',
  'TIMED_OUT',
] as const satisfies string[];
type RunStatus = (typeof statuses)[number];

export async function listLatestRuns(client: Client, namespace: string, request: PageRequest): Promise<Page> {
  const query = `${request.query} AND ExecutionStatus != 'ContinuedAsNew'`;
  const answer = await client.workflowService.listWorkflowExecutions({
    namespace,
    query,
    pageSize: request.pageSize,
    ...(request.pageToken === undefined ? {} : { nextPageToken: decodePageToken(request.pageToken, query) }),
  });
  const runs = answer.executions.map(listedRun);
  const superseded = await findSuperseded(client, runs);
  return {
    runs: runs.filter((run) => !superseded.has(run.runId)),
    ...(answer.nextPageToken.length > 0 ? { nextPageToken: encodePageToken(answer.nextPageToken, query) } : {}),
  };
}

/** Run ids of ended runs whose workflow id has a later run, on this page or any other. */
async function findSuperseded(client: Client, runs: readonly ListedRun[]): Promise<ReadonlySet<string>> {
  const ended = runs.filter((run) => !run.isRunning);
  if (ended.length === 0) return new Set();
  const latest = new Map<string, { runId: string; startedAt: number }>();
  const ids = [...new Set(ended.map((run) => `'${run.workflowId}'`))].join(', ');
  for await (const run of client.workflow.list({ query: `WorkflowId IN (${ids})` })) {
    const known = latest.get(run.workflowId);
    if (known === undefined || run.startTime.getTime() > known.startedAt) {
      latest.set(run.workflowId, { runId: run.runId, startedAt: run.startTime.getTime() });
    }
  }
  return new Set(ended.filter((run) => latest.get(run.workflowId)?.runId !== run.runId).map((run) => run.runId));
}

function listedRun(raw: RawRun): ListedRun {
  const status = (statuses as readonly RunStatus[])[raw.status ?? 0] ?? 'UNSPECIFIED';
  const endedAt = raw.closeTime ? timestamp(raw.closeTime) : undefined;
  return {
    workflowId: raw.execution?.workflowId ?? '',
    workflowType: raw.type?.name ?? '',
    runId: raw.execution?.runId ?? '',
    isRunning: status === 'RUNNING',
    status,
    startedAt: timestamp(raw.startTime),
    ...(endedAt === undefined ? {} : { endedAt }),
    attributes: decodeFields(raw.searchAttributes?.indexedFields),
    memo: decodeFields(raw.memo?.fields),
  };
}

function timestamp(time: RawRun['startTime']): string {
  return new Date(Number(time?.seconds ?? 0) * 1_000 + Math.floor((time?.nanos ?? 0) / 1e6)).toISOString();
}

type Payload = Parameters<typeof defaultPayloadConverter.fromPayload>[0];

function decodeFields(fields: Readonly<Record<string, Payload>> | null | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields ?? {}).map(([key, payload]) => [key, defaultPayloadConverter.fromPayload<unknown>(payload)]),
  );
}

/** A token is bound to its query: with another filter Temporal would answer from the middle of another list. */
function encodePageToken(token: Uint8Array, query: string): string {
  return Buffer.from(JSON.stringify([Buffer.from(token).toString('base64'), query])).toString('base64url');
}

function decodePageToken(text: string, query: string): Uint8Array {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    if (Array.isArray(decoded) && typeof decoded[0] === 'string' && decoded[1] === query) {
      return Buffer.from(decoded[0], 'base64');
    }
  } catch (error) {
    throw problem('invalid-page-token', { cause: error });
  }
  throw problem('invalid-page-token');
}
