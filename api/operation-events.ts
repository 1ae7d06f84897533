/**
 * An operation as server-sent events: what changed, as a whole, under the operation's revision. Who comes back with the last id
 * they saw gets what is newer; a change in between is in it.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { problemOf, type ProblemError } from './problems.ts';
import { endPhases } from './rows.ts';
import type { Operation } from './schemas/operation.ts';

/** However many streams show an operation, its workflow is asked this often. */
export const READ_EVERY_MS = 1_000;
/** Proxies on the way cut what stays silent. */
const HEARTBEAT_EVERY_MS = 10_000;
const REAUTHORISE_EVERY_MS = 60_000;

type Read = (id: string) => Promise<Operation>;

/** Answers with the read of the last second where there is one. */
export function sharedReads(read: Read, everyMs = READ_EVERY_MS): Read {
  const fresh = new Map<string, Promise<Operation>>();
  return (id) => {
    const known = fresh.get(id);
    if (known !== undefined) return known;
    const started = read(id);
    fresh.set(id, started);
    setTimeout(() => fresh.delete(id), everyMs).unref();
    return started;
  };
}

export function isEnded({ phase }: Operation): boolean {
  return endPhases.includes(phase);
}

interface Stream {
  readonly operation: Operation;
  readonly lastEventId: number | undefined;
  readonly read: Read;
  /** Throws when the caller may not follow the operation any more. */
  readonly reauthorise: () => Promise<void>;
  /** Told of the problem that ends the stream. */
  readonly onProblem: (problem: ProblemError) => void;
  readonly signal: AbortSignal;
}

/** Ends with the operation, with the caller's right to see it, or by the signal. */
export async function* operationEvents(stream: Stream): AsyncGenerator<string> {
  const { read, reauthorise, onProblem, signal, lastEventId } = stream;
  let { operation } = stream;
  let told = lastEventId !== undefined && lastEventId === operation.revision ? JSON.stringify(operation) : '';
  let spokeAt = Date.now();
  let authorisedAt = Date.now();
  yield 'retry: 2000\n\n';
  for (;;) {
    const now = JSON.stringify(operation);
    if (now !== told) {
      yield eventOf(operation, now);
      told = now;
      spokeAt = Date.now();
    } else if (Date.now() - spokeAt >= HEARTBEAT_EVERY_MS) {
      yield ': nothing new\n\n';
      spokeAt = Date.now();
    }
    if (isEnded(operation)) return;
    await delay(READ_EVERY_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (Date.now() - authorisedAt >= REAUTHORISE_EVERY_MS) {
        await reauthorise();
        authorisedAt = Date.now();
      }
      operation = await read(operation.id);
    } catch (error) {
      const problem = problemOf(error);
      // Without a worker, or with Temporal away, the stream waits: what it told stays true.
      if (problem.status === 503 || problem.status === 429) continue;
      onProblem(problem);
      yield `event: problem\ndata: ${JSON.stringify(problem.body)}\n\n`;
      return;
    }
  }
}

function eventOf({ revision }: Operation, data: string): string {
  const id = revision === undefined ? '' : `id: ${revision}\n`;
  return `${id}event: operation\ndata: ${data}\n\n`;
}
