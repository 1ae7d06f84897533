/**
 * Lists from Temporal's visibility store alone (search attributes, memo, status): they answer without a worker. One page is
 * one call to Temporal, plus one where a run may not be the one to show: of a workflow id, the last run that was asked anything.
 */
import { createHash } from 'node:crypto';

import { isGrpcServiceError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';

import { problem } from './problems.ts';
import { latestRunIds, wasAsked } from './latest-runs.ts';

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

/** Namespaces of which a caller may see what is in them. */
export type Visible = 'all' | readonly string[];

export interface PageRequest {
  /** Visibility query; every value in it has passed a schema that allows no quote. */
  readonly query: string;
  readonly visible: Visible;
  readonly pageSize: number;
  readonly pageToken: string | undefined;
}

type RawRun = NonNullable<
  Awaited<ReturnType<Client['workflowService']['listWorkflowExecutions']>>['executions']
>[number];

/** gRPC status code. */
const INVALID_ARGUMENT = 3;
const CHECKSUM_BYTES = 12;

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
  if (request.visible.length === 0) return { runs: [] };
  const query = `${request.query}${inNamespaces(request.visible)} AND ExecutionStatus != 'ContinuedAsNew'`;
  const answer = await page(client, { namespace, query, pageSize: request.pageSize }, request.pageToken);
  const runs = answer.executions.map(listedRun);
  const superseded = await findSuperseded(client, runs);
  return {
    runs: runs.filter((run) => !superseded.has(run.runId)),
    ...(answer.nextPageToken.length > 0 ? { nextPageToken: encodePageToken(answer.nextPageToken, query) } : {}),
  };
}

/** Names of namespaces hold no quote. */
function inNamespaces(visible: Visible): string {
  return visible === 'all' ? '' : ` AND MeshliftNamespace IN (${visible.map((name) => `'${name}'`).join(', ')})`;
}

async function page(client: Client, list: { namespace: string; query: string; pageSize: number }, pageToken?: string) {
  if (pageToken === undefined) return client.workflowService.listWorkflowExecutions(list);
  const nextPageToken = decodePageToken(pageToken, list.query);
  try {
    return await client.workflowService.listWorkflowExecutions({ ...list, nextPageToken });
  } catch (error) {
    // The first page passed with the same query, so it is the token that Temporal cannot read.
    const code: number | undefined = isGrpcServiceError(error) ? error.code : undefined;
    throw code === INVALID_ARGUMENT ? problem('invalid-page-token', { cause: error }) : error;
  }
}

/** Run ids of this page that another run of the same workflow id stands for. */
async function findSuperseded(client: Client, runs: readonly ListedRun[]): Promise<ReadonlySet<string>> {
  const doubtful = runs.filter((run) => !run.isRunning || !wasAsked(run.memo, run.attributes['MeshliftPhase']));
  const latest = await latestRunIds(client, [...new Set(doubtful.map((run) => run.workflowId))]);
  return new Set(doubtful.filter((run) => latest.get(run.workflowId) !== run.runId).map((run) => run.runId));
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
  return Buffer.concat([checksum(token, query), token]).toString('base64url');
}

function decodePageToken(text: string, query: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url');
  const token = bytes.subarray(CHECKSUM_BYTES);
  if (!checksum(token, query).equals(bytes.subarray(0, CHECKSUM_BYTES))) throw problem('invalid-page-token');
  return token;
}

function checksum(token: Uint8Array, query: string): Buffer {
  return createHash('sha256').update(query).update('\n').update(token).digest().subarray(0, CHECKSUM_BYTES);
}
