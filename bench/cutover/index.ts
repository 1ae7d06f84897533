/**
 * A migration under load on the sandbox: what its callers lose and wait for beside a calm service, how soon a weight is seen beside a
 * bare apply, and how long all traffic takes to return. The control moves the same workload as one would by hand.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { eventually } from '../../demo/eventually.ts';
import { type RunningLoad, startLoad } from '../../demo/load.ts';
import { powerOff } from '../../demo/sandbox-client.ts';
import { type MigrationLab, migrationLab } from '../../test/support/migration-lab.ts';
import { endOf } from '../../test/support/operations.ts';
import { type Platform, startPlatform } from '../../test/support/platform.ts';
import { type BenchReport, host } from '../report.ts';
import { median } from '../statistics.ts';
import { applyBare, removeBare, scale } from './bare-routes.ts';
import { hostOf, podAnswers, podCalls, RATE } from './callers.ts';
import { measureRuns } from './runs.ts';
import { watchWeight } from './watch-weight.ts';

/** Between two looks at what callers were answered by. */
const LOOK_MS = 10;

/** What is said of latency needs six `windows` of each side. */
export async function measureCutover(rounds: number, windows: number): Promise<BenchReport> {
  const platform = await startPlatform();
  try {
    const lab = await migrationLab(platform, 'bench', 2);
    try {
      const seen: number[] = [];
      const bare: number[] = [];
      for (let round = 0; round < rounds; round++) {
        bare.push(await bareSeen(platform, lab));
        seen.push(await productSeen(platform, lab));
      }
      const { sent, failed, p99, ...more } = await measureRuns(platform, lab, windows);
      const naiveFailed = await naive(lab);
      return {
        bench: 'cutover',
        ratios: [
          { name: 'failed-requests', value: failed, target: 0, better: 'lower' },
          { name: 'naive-failed-requests', value: naiveFailed, target: 1, better: 'higher' },
          { name: 'p99-during/steady', value: median(p99.during) / median(p99.steady), target: 1.2, better: 'lower' },
          { name: 'weight-seen/bare-apply', value: median(seen) / median(bare), target: 1.5, better: 'lower' },
        ],
        figures: {
          requests: sent,
          p99Ms: p99,
          seenMs: { product: seen, bare },
          ...more,
        },
        conditions: {
          ...host(),
          rounds,
          machines: lab.machines.length,
          windows,
          note: 'p99: medians of windows that alternate, a calm one and a whole run to 100% and back, and after every fifth the same moved by hand with kubectl; spread: of the odd calm ones over the even ones, or the other way round; seen: from the write, as the API server tells its watchers, until a pod, a machine and a caller through the gateway have each had an answer from the other side; rollback: from its POST to the last answer from a pod',
        },
      };
    } finally {
      await lab.remove();
    }
  } finally {
    await platform.stop();
  }
}

/** Everybody who has to see a weight: a pod, a machine, and the gateway for one outside the mesh. */
const callers = async (lab: MigrationLab): Promise<RunningLoad[]> =>
  await Promise.all(Object.values(await lab.callers()).map(({ app, url }) => startLoad(app, [url], RATE)));

/** Resolves once every caller was answered by a pod. */
async function untilPodsAnswer(lab: MigrationLab, loads: readonly RunningLoad[]): Promise<number> {
  for (;;) {
    const answered = await Promise.all(loads.map(async (load) => podAnswers(lab, await load.report())));
    if (answered.every((count) => count > 0)) return performance.now();
    await delay(LOOK_MS);
  }
}

/** By hand: pods behind a route of 100/0, and one write of it. */
async function bareSeen(platform: Platform, lab: MigrationLab): Promise<number> {
  const { name: namespace } = lab.namespace;
  await applyBare(namespace, hostOf(lab), 0);
  await delay(5_000);
  await scale(namespace, 2);
  await delay(5_000);
  const loads = await callers(lab);
  const written = watchWeight(platform.env.kubeconfig, namespace);
  await applyBare(namespace, hostOf(lab), 50);
  const seenAt = await untilPodsAnswer(lab, loads);
  const writtenAt = await written;
  await Promise.all(loads.map((load) => load.stop()));
  await scale(namespace, 0);
  await removeBare(namespace);
  await delay(5_000);
  return seenAt - writtenAt;
}

async function productSeen(platform: Platform, lab: MigrationLab): Promise<number> {
  const { id } = await lab.start(lab.request('seen', { steps: [{ weight: 50, hold: '5s' }], approvals: [50] }));
  await platform.api.waitsFor(id, /approve of 50%/);
  const loads = await callers(lab);
  const written = watchWeight(platform.env.kubeconfig, lab.namespace.name);
  await lab.control(id, 'approve');
  const seenAt = await untilPodsAnswer(lab, loads);
  const writtenAt = await written;
  await lab.control(id, 'rollback');
  await endOf(platform.api, id);
  await Promise.all(loads.map((load) => load.stop()));
  return seenAt - writtenAt;
}

/** Pods beside, and then the machines go: as one does without routes. */
async function naive(lab: MigrationLab): Promise<number> {
  const load = await podCalls(lab, RATE);
  await scale(lab.namespace.name, 2);
  await Promise.all(lab.machines.map((machine) => powerOff(machine)));
  const { sent } = await load.report();
  await eventually('1,000 more requests are sent', async () => (await load.report()).sent > sent + 1_000);
  const { failed } = await load.stop();
  return failed;
}
