/** The API's one way to Temporal: connects on first use, gives up in time, and says why nothing answered. */
import { AsyncLocalStorage } from 'node:async_hooks';

import {
  Client,
  Connection,
  defaultGrpcRetryOptions,
  isGrpcCancelledError,
  isGrpcDeadlineError,
  makeGrpcRetryInterceptor,
} from '@temporalio/client';

import type { ApiConfig } from './config.ts';
import { problem } from './problems.ts';

/** A caller learns within 5 s that no worker answers; this leaves time to find out why, also where both machines are busy. */
const ANSWER_WITHIN_MS = 3_200;
const PROBE_WITHIN_MS = 1_000;
const ASK_AGAIN_MS = 100;

export interface Temporal {
  readonly client: Client;
  readonly namespace: string;
  /**
   * Runs calls under the answer deadline, or under what is left of the one they are run in; a deadline that passes becomes
   * `no-worker` or `temporal-unavailable`.
   */
  inTime<Result>(calls: () => Promise<Result>, withinMs?: number): Promise<Result>;
  /** Resolves when Temporal answers and the namespace exists. */
  ping(): Promise<void>;
  /** Where a person reads about this workflow, when the UI's address is configured. */
  workflowUrl(workflowId: string): { readonly workflowUrl?: string };
  close(): Promise<void>;
}

export function connectTemporal({ connection: settings, namespace, uiUrl }: ApiConfig['temporal']): Temporal {
  const connection = Connection.lazy({ ...settings, interceptors: [makeGrpcRetryInterceptor(retryQuickly())] });
  const client = new Client({ connection, namespace });
  const deadlines = new AsyncLocalStorage<number>();

  const ping = async (): Promise<void> => {
    await client.withDeadline(Date.now() + PROBE_WITHIN_MS, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  };

  return {
    client,
    namespace,
    ping,
    async inTime(calls, withinMs = ANSWER_WITHIN_MS) {
      const deadline = Math.min(deadlines.getStore() ?? Infinity, Date.now() + withinMs);
      try {
        return await deadlines.run(deadline, () => client.withDeadline(deadline, calls));
      } catch (error) {
        if (!isOutOfTime(error)) throw error;
        const isReachable = await ping().then(
          () => true,
          () => false,
        );
        throw problem(isReachable ? 'no-worker' : 'temporal-unavailable', { cause: error });
      }
    },
    workflowUrl(workflowId) {
      if (uiUrl === undefined) return {};
      return { workflowUrl: `${uiUrl}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}` };
    },
    close: () => connection.close(),
  };
}

/** Of the two clocks that run, the server's may be first: its end of the call then reaches the client as CANCELLED. */
function isOutOfTime(error: unknown): boolean {
  return isGrpcDeadlineError(error) || isGrpcCancelledError(error);
}

/** The client's retries last longer than a caller should wait; being told to slow down is the caller's to know (429). */
function retryQuickly() {
  const resourceExhausted = 8;
  const defaults = defaultGrpcRetryOptions({ maxAttempts: 3, initialIntervalMs: () => 100 });
  type Decide = typeof defaults.retryableDecider;
  // Until a task of its own is done a workflow keeps one query waiting and turns others away [temporal, service/history/api/queryworkflow]:
  // they have their turn soon after, or their deadline passes.
  const isAfterAnother = ({ details }: Parameters<Decide>[1]): boolean => details.includes('query buffer is full');
  return {
    delayFunction: (...[attempt, status]: Parameters<typeof defaults.delayFunction>) =>
      isAfterAnother(status) ? ASK_AGAIN_MS : defaults.delayFunction(attempt, status),
    retryableDecider: (...[attempt, status]: Parameters<Decide>) => {
      const code: number = status.code;
      return isAfterAnother(status) || (code !== resourceExhausted && defaults.retryableDecider(attempt, status));
    },
  };
}
