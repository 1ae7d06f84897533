/** Waits on evidence: polls a claim until it holds. */
import { setTimeout as delay } from 'node:timers/promises';

/** Thrown by a check to end the wait at once: the claim can not come true any more. */
export class Unrecoverable extends Error {}

/** Polls until the check holds; a check that throws counts as not yet, and its last error is told at the end. */
export async function eventually(
  claim: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
  intervalMs = 200,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await check()) return;
    } catch (error) {
      if (error instanceof Unrecoverable) throw error;
      last = error;
    }
    if (Date.now() > deadline) {
      const told = last instanceof Error ? `; at last: ${last.message}` : '';
      throw new Error(`Not true within ${timeoutMs / 1000} s: ${claim}${told}`, { cause: last });
    }
    await delay(intervalMs);
  }
}
