/**
 * A migration under load on the sandbox: what its callers lose and wait for beside a calm service, how soon a weight is seen beside a
 * bare apply, and how long all traffic takes to return. The control moves the same workload as one would by hand.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { eventually, Unrecoverable } from '../../demo/eventually.ts';
import { type RunningLoad, startLoad } from '../../demo/load.ts';
import { podAddress, powerOff } from '../../demo/sandbox-client.ts';
import { type MigrationLab, migrationLab } from '../../test/support/migration-lab.ts';
import { endOf } from '../../test/support/operations.ts';
import { startPlatform } from '../../test/support/platform.ts';
import { command } from '../../test/support/sandbox.ts';
import { type BenchReport, host } from '../report.ts';
import { median } from '../statistics.ts';
import { applyBare, removeBare } from './bare-routes.ts';
import { watchWeight } from './watch-weight.ts';

const STEADY_MS = 20_000;
const RATE = 100;
/** Between two looks at what callers were answered by. */
const LOOK_MS = 10;

export async function measureCutover(rounds: number): Promise<BenchReport> {
  const platform = await startPlatform();
  try {
    const lab = await migrationLab(platform, 'bench', 2);
    try {
      const steady = await steadyP99(lab);
      const seen: number[] = [];
      const bare: number[] = [];
      for (let round = 0; round < rounds; round++) {
        bare.push(await bareSeen(platform.env.kubeconfig, lab));
        seen.push(await productSeen(platform, lab));
      }
      const moved = await wholeRun(platform, lab);
      const naiveFailed = await naive(lab);
      return {
        bench: 'cutover',
        ratios: [
          { name: 'failed-requests', value: moved.failed, target: 0, better: 'lower' },
          { name: 'naive-failed-requests', value: naiveFailed, target: 1, better: 'higher' },
          { name: 'p99-during/steady', value: moved.p99 / steady, target: 1.2, better: 'lower' },
          { name: 'weight-seen/bare-apply', value: median(seen) / median(bare), target: 1.5, better: 'lower' },
        ],
        figures: {
          requests: moved.sent,
          p99Ms: { steady, during: moved.p99 },
          seenMs: { product: seen, bare },
          runSeconds: moved.seconds,
          rollbackSeconds: moved.rollbackSeconds,
        },
        conditions: {
          ...host(),
          rounds,
          machines: lab.machines.length,
          note: 'seen: from the write, as the API server tells its watchers, until a pod and a machine that call have each had an answer from the other side; rollback: from its POST to the last answer from a pod',
        },
      };
    } finally {
      await lab.remove();
    }
  } finally {
    await platform.stop();
  }
}

type Platform = Awaited<ReturnType<typeof startPlatform>>;

const hostOf = (lab: MigrationLab): string => `orders.${lab.namespace.name}.svc.cluster.local`;
const frontend = async (): Promise<string> => `http://${await podAddress('shop', 'app=frontend')}:8080`;

/** A caller in a pod, and one on a machine. */
async function callers(lab: MigrationLab): Promise<RunningLoad[]> {
  const from = [await frontend(), `http://${lab.caller.address}:8080`];
  return await Promise.all(from.map((app) => startLoad(app, [`http://${hostOf(lab)}/`], RATE)));
}

async function steadyP99(lab: MigrationLab): Promise<number> {
  const load = await startLoad(await frontend(), [`http://${hostOf(lab)}/`], RATE);
  await delay(STEADY_MS);
  return (await load.stop()).latencyMs.p99;
}

/** Resolves once every caller was answered by a pod. */
async function untilPodsAnswer(lab: MigrationLab, loads: readonly RunningLoad[]): Promise<number> {
  for (;;) {
    const answered = await Promise.all(loads.map(async (load) => podAnswers(lab, await load.report())));
    if (answered.every((count) => count > 0)) return performance.now();
    await delay(LOOK_MS);
  }
}

const podAnswers = (lab: MigrationLab, { answeredBy }: { answeredBy: Readonly<Record<string, number>> }): number =>
  Object.entries(answeredBy)
    .filter(([name]) => !lab.machines.some((machine) => machine.name === name))
    .reduce((sum, [, count]) => sum + count, 0);

/** By hand: pods behind a route of 100/0, and one write of it. */
async function bareSeen(kubeconfig: string, lab: MigrationLab): Promise<number> {
  const { name: namespace } = lab.namespace;
  await applyBare(namespace, hostOf(lab), 0);
  await delay(5_000);
  await scale(namespace, 2);
  await delay(5_000);
  const loads = await callers(lab);
  const written = watchWeight(kubeconfig, namespace);
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

interface Moved {
  readonly sent: number;
  readonly failed: number;
  readonly p99: number;
  readonly seconds: number;
  readonly rollbackSeconds: number;
}

/** From machines to pods, and back again: the machines are needed for the control. */
async function wholeRun(platform: Platform, lab: MigrationLab): Promise<Moved> {
  const load = await startLoad(await frontend(), [`http://${hostOf(lab)}/`], RATE);
  const began = performance.now();
  const steps = [10, 50, 100].map((weight) => ({ weight, hold: '10s' }));
  const { id } = await lab.start(lab.request('whole', { steps }));
  await platform.api.waitsFor(id, /finalize/);
  const seconds = (performance.now() - began) / 1_000;
  const askedAt = performance.now();
  await lab.control(id, 'rollback', 'the benchmark');
  let [lastAt, before] = [askedAt, podAnswers(lab, await load.report())];
  const ended = endOf(platform.api, id);
  const isOver = ended.then(() => true);
  do {
    const now = podAnswers(lab, await load.report());
    if (now > before) [lastAt, before] = [performance.now(), now];
  } while (!(await Promise.race([isOver, delay(LOOK_MS, false)])));
  const { phase, message } = await ended;
  if (phase !== 'RolledBack') throw new Unrecoverable(`The migration ended as ${phase}: ${message ?? ''}`);
  const { sent, failed, latencyMs } = await load.stop();
  return { sent, failed, p99: latencyMs.p99, seconds, rollbackSeconds: (lastAt - askedAt) / 1_000 };
}

/** Pods beside, and then the machines go: as one does without routes. */
async function naive(lab: MigrationLab): Promise<number> {
  const load = await startLoad(await frontend(), [`http://${hostOf(lab)}/`], RATE);
  await scale(lab.namespace.name, 2);
  await Promise.all(lab.machines.map((machine) => powerOff(machine)));
  const { sent } = await load.report();
  await eventually('1,000 more requests are sent', async () => (await load.report()).sent > sent + 1_000);
  const { failed } = await load.stop();
  return failed;
}

async function scale(namespace: string, replicas: number): Promise<void> {
  const rollout = ['-n', namespace, 'rollout', 'status', 'deployment', 'orders', '--timeout=120s'];
  await command('kubectl', '-n', namespace, 'scale', 'deployment', 'orders', `--replicas=${replicas}`);
  await command('kubectl', ...rollout);
}
