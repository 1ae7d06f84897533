/** Waiting on evidence: asks again until the answer is yes, and says what it waited for when it never is. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Wait {
  /** Completes "waited 30s for ...". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly everyMs?: number;
  /** What to look at when it never comes, e.g. a log file. */
  readonly see: string;
}

/** Resolves with the first answer that is not `undefined`; a probe that throws counts as "not yet". */
export async function waitFor<T>(wait: Wait, probe: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = Date.now() + wait.timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= deadline) {
      throw new Error(`Waited ${wait.timeoutMs / 1000}s for ${wait.what}; see ${wait.see}`, { cause });
    }
    await sleep(wait.everyMs ?? 200);
  }
}

/** `true` once, else "not yet". */
export const yes = (claim: boolean): true | undefined => (claim ? true : undefined);
