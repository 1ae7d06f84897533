/** Takes the sandbox away: what the state file names, newest first, and what its programs left behind. Only the cache stays. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { removeServiceRules } from './kubernetes/service-rules.ts';
import { paths, RUN } from './layout.ts';
import { unmountUnder } from './mounts.ts';
import { killAll, ownProcesses } from './processes.ts';
import { step } from './progress.ts';
import { readState, type Item } from './state.ts';
import { undo } from './undo.ts';

/** `false` when there was nothing to take away. */
export async function down(): Promise<boolean> {
  const state = readState();
  if (state === undefined && !hasRemains()) return false;
  await step('taking the sandbox down', async () => {
    await tearDown(state?.items ?? []);
  });
  return true;
}

/** What a lost state file, or a `down` that was killed at its end, leaves. */
const hasRemains = (): boolean =>
  (existsSync(RUN) && readdirSync(RUN).some((entry) => join(RUN, entry) !== paths.lock)) || ownProcesses().length > 0;

async function tearDown(items: readonly Item[]): Promise<void> {
  const newestFirst = items.toReversed();
  const faults: unknown[] = [];
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    await work().catch((error: unknown) => faults.push(error));
  };
  // Processes go first and all at once: a controller that lives would make again what is being removed.
  await attempt(endProcesses);
  await attempt(async () => {
    await unmountUnder(RUN);
  });
  const mayHaveRules = items.some((item) => item.kind === 'chain');
  if (mayHaveRules) await attempt(removeServiceRules);
  for (const item of newestFirst) {
    await attempt(async () => {
      await undo(item);
    });
  }
  if (faults.length > 0) {
    throw new AggregateError(
      faults,
      `Some of the sandbox is still there; ${paths.state} names it. Cure what is said below, then run: npm run sandbox -- down`,
    );
  }
  rmSync(RUN, { recursive: true, force: true });
}

/** Again until none is left: a process may start another while it is being ended. */
async function endProcesses(): Promise<void> {
  for (let round = 0; round < 5; round += 1) {
    const pids = ownProcesses();
    if (pids.length === 0) return;
    await killAll(pids);
  }
}
