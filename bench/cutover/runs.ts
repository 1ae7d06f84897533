/** What a caller waits for while a workload moves, beside a calm service: windows in turn, on one machine. */
import { setTimeout as delay } from 'node:timers/promises';

import { Unrecoverable } from '../../demo/eventually.ts';
import type { RunningLoad } from '../../demo/load.ts';
import type { MigrationLab } from '../../test/support/migration-lab.ts';
import { endOf } from '../../test/support/operations.ts';
import type { Platform } from '../../test/support/platform.ts';
import { median } from '../statistics.ts';
import { watchStolen } from '../stolen.ts';
import { applyBare, removeBare, scale } from './bare-routes.ts';
import { hostOf, podAnswers, podCalls, RATE } from './callers.ts';

/** As long as a run: what the host itself does now and then is in both, or in neither. */
const STEADY_MS = 180_000;
/** Between two looks at who answers: whoever looks takes processor time from what is measured. */
const LOOK_MS = 100;
const LOOK_AT_RUN_MS = 5_000;
const WEIGHTS = [50, 100];
/** By which the parts of a run are told apart. */
const PHASE_RATE = 50;
const BRISK_SECONDS = 0.001;
/** Of each step, as the product holds it where a request does not say. */
const HOLD_MS = 60_000;
/** By hand: until a route is taken to be everywhere, and until the endpoints of pods that end are gone. */
const SPREADING_MS = 5_000;
/** The move by hand is a figure, and no ratio rests on it. */
const BY_HAND_EVERY = 5;

/** p99 in milliseconds, of each window. */
interface Latencies {
  readonly steady: readonly number[];
  readonly during: readonly number[];
  /** The same move with kubectl: what this machine costs, whoever moves. */
  readonly byHand: readonly number[];
  /** Of the parts of a run: until its pods are called, while weights move, and on the way back. */
  readonly byPhase: { readonly start: number[]; readonly weights: number[]; readonly back: number[] };
}

interface Runs {
  readonly sent: number;
  readonly failed: number;
  readonly p99: Latencies;
  /** Between calm windows: a ratio below it says nothing. */
  readonly spread: number;
  /** What the host took of the processors, in percent, in each window: where the two differ, so do their latencies. */
  readonly stolenPercent: { readonly steady: readonly number[]; readonly during: readonly number[] };
  readonly runSeconds: readonly number[];
  /** From the POST of the rollback to the last answer of a pod. */
  readonly rollbackSeconds: readonly number[];
}

export async function measureRuns(platform: Platform, lab: MigrationLab, windows: number): Promise<Runs> {
  const byPhase: Latencies['byPhase'] = { start: [], weights: [], back: [] };
  const [calms, runs, byHand]: [Window[], Run[], number[]] = [[], [], []];
  for (let window = 0; window < windows; window++) {
    const before = await calm(lab);
    const run = await moved(platform, lab, byPhase);
    calms.push(before);
    runs.push(run);
    if (window % BY_HAND_EVERY === 0) byHand.push(await movedByHand(lab));
    process.stderr.write(
      `window ${window + 1} of ${windows}: p99 ${before.p99.toFixed(1)} ms calm, ${run.p99.toFixed(1)} ms during a run\n`,
    );
  }
  const steady = calms.map(({ p99 }) => p99);
  const [odd, even] = [1, 0].map((rest) => median(steady.filter((_, index) => index % 2 === rest)));
  return {
    sent: runs.reduce((sum, run) => sum + run.sent, 0),
    failed: runs.reduce((sum, run) => sum + run.failed, 0),
    p99: { steady, during: runs.map((run) => run.p99), byHand, byPhase },
    spread: Math.max((odd ?? 0) / (even ?? 1), (even ?? 0) / (odd ?? 1)),
    stolenPercent: {
      steady: calms.map((one) => one.stolenPercent),
      during: runs.map((run) => run.stolenPercent),
    },
    runSeconds: runs.map((run) => run.seconds),
    rollbackSeconds: runs.map((run) => run.rollbackSeconds),
  };
}

/** None of its answers is asked to take its time: the last one says when the last request came. */
const briskLoad = (lab: MigrationLab): Promise<RunningLoad> => podCalls(lab, PHASE_RATE, BRISK_SECONDS);

/** Its p99 in milliseconds, and what the host took of the processors meanwhile. */
interface Window {
  readonly p99: number;
  readonly stolenPercent: number;
}

async function calm(lab: MigrationLab): Promise<Window> {
  const stolenPercent = watchStolen();
  const loads = await Promise.all([podCalls(lab, RATE), briskLoad(lab)]);
  await delay(STEADY_MS);
  const [report] = await Promise.all(loads.map((one) => one.stop()));
  return { p99: report?.latencyMs.p99 ?? Number.NaN, stolenPercent: stolenPercent() };
}

interface Run extends Window {
  readonly sent: number;
  readonly failed: number;
  readonly seconds: number;
  readonly rollbackSeconds: number;
}

/** From machines to pods, and back again: the next window needs the machines. */
async function moved(platform: Platform, lab: MigrationLab, byPhase: Latencies['byPhase']): Promise<Run> {
  const stolenPercent = watchStolen();
  const whole = await podCalls(lab, RATE);
  const began = performance.now();
  const steps = WEIGHTS.map((weight) => ({ weight }));
  const { id } = await lab.start(lab.request('whole', { steps, approvals: [50] }));
  const during = async (part: keyof typeof byPhase, wait: (brisk: RunningLoad) => Promise<void>): Promise<void> => {
    const one = await briskLoad(lab);
    await wait(one);
    byPhase[part].push((await one.stop()).latencyMs.p99);
  };
  const until = (text: RegExp) => () => platform.api.waitsFor(id, text, WEIGHTS.length * 2 * HOLD_MS, LOOK_AT_RUN_MS);
  await during('start', until(/approve of 50%/));
  await lab.control(id, 'approve', 'the benchmark');
  await during('weights', until(/finalize/));
  const seconds = (performance.now() - began) / 1_000;
  let rollbackSeconds = 0;
  await during('back', async (brisk) => {
    rollbackSeconds = await backAgain(platform, lab, id, brisk);
  });
  const { sent, failed, latencyMs } = await whole.stop();
  return { sent, failed, p99: latencyMs.p99, stolenPercent: stolenPercent(), seconds, rollbackSeconds };
}

/** Pods behind a route of 100/0, the same weights, and back: without a look at anything in between. */
async function movedByHand(lab: MigrationLab): Promise<number> {
  const { name: namespace } = lab.namespace;
  const loads = await Promise.all([podCalls(lab, RATE), briskLoad(lab)]);
  await applyBare(namespace, hostOf(lab), 0);
  await delay(SPREADING_MS);
  await scale(namespace, 2);
  await delay(SPREADING_MS);
  for (const weight of WEIGHTS) {
    await applyBare(namespace, hostOf(lab), weight);
    await delay(HOLD_MS);
  }
  await applyBare(namespace, hostOf(lab), 0);
  await delay(SPREADING_MS);
  await scale(namespace, 0);
  await delay(SPREADING_MS);
  await removeBare(namespace);
  await delay(SPREADING_MS);
  const [report] = await Promise.all(loads.map((one) => one.stop()));
  return report?.latencyMs.p99 ?? Number.NaN;
}

async function backAgain(platform: Platform, lab: MigrationLab, id: string, brisk: RunningLoad): Promise<number> {
  const askedAt = performance.now();
  await lab.control(id, 'rollback', 'the benchmark');
  let [lastAt, before] = [askedAt, podAnswers(lab, await brisk.report())];
  const ended = endOf(platform.api, id, undefined, LOOK_AT_RUN_MS);
  const isOver = ended.then(() => true);
  do {
    const now = podAnswers(lab, await brisk.report());
    if (now > before) [lastAt, before] = [performance.now(), now];
  } while (!(await Promise.race([isOver, delay(LOOK_MS, false)])));
  const { phase, message } = await ended;
  if (phase !== 'RolledBack') throw new Unrecoverable(`The migration ended as ${phase}: ${message ?? ''}`);
  return (lastAt - askedAt) / 1_000;
}
