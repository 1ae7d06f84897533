/**
 * A worker that kills itself, `kill -9`, at the points it was told: `node test/support/killing-worker.ts` with Meshlift's environment
 * and MESHLIFT_TEST_KILLS. Each point kills once over all such workers: a file in the folder tells that it did.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Context } from '@temporalio/activity';

import type { Activities } from '../../activities/index.ts';
import type { KillPoint, Kills } from './crashes.ts';
import { startWorker } from './test-worker.ts';

type Activity = (input: unknown) => Promise<unknown>;

const { folder, points, machines } = JSON.parse(process.env['MESHLIFT_TEST_KILLS'] ?? '{}') as Kills;

/** What no machine's own workflow calls belongs to every machine. */
function isMeant({ activity, machine }: KillPoint, name: string): boolean {
  const { workflowId } = Context.current().info.workflowExecution ?? { workflowId: '' };
  return activity === name && (workflowId.includes(machine) || !machines.some((one) => workflowId.includes(one)));
}

function killOnce({ activity }: KillPoint): void {
  try {
    closeSync(openSync(join(folder, activity), 'wx'));
  } catch {
    return;
  }
  process.kill(process.pid, 'SIGKILL');
}

function killing(name: string, real: Activity): Activity {
  return async (input) => {
    const point = points.find((one) => isMeant(one, name));
    if (point === undefined) return await real(input);
    if (point.at === 'before') killOnce(point);
    const running = real(input);
    if (point.at === 'inside') {
      await Promise.race([delay(point.insideMs), running.catch(() => undefined)]);
      killOnce(point);
    }
    try {
      const value = await running;
      if (point.at === 'after') killOnce(point);
      return value;
    } catch (error) {
      // One that only ends because it is cancelled has no other end.
      if (point.at === 'after' && Context.current().cancellationSignal.aborted) killOnce(point);
      throw error;
    }
  };
}

const environment = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']));
await startWorker(
  { exports: environment, kubeconfig: environment['KUBECONFIG'] ?? '' },
  environment['TEMPORAL_NAMESPACE'] ?? '',
  (activities) =>
    Object.fromEntries(
      Object.entries(activities).map(([name, real]) => [name, killing(name, real as Activity)]),
    ) as unknown as Activities,
);
process.stdout.write('polls\n');
