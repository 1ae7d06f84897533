/**
 * The crash matrix: machines live a whole life, from onboarding to gone, while workers are killed at a point of every activity. The
 * list of activities is the product's own, so a new one is a new row.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ulid } from 'ulid';

import { createActivities } from '../../activities/index.ts';
import type { Ports } from '../../activities/index.ts';
import { Api } from '../../demo/api-client.ts';
import { applyHostPolicies } from '../../demo/host-policy.ts';
import { startProcess } from '../../demo/meshlift-process.ts';
import { sandbox, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { deployed } from './deployed.ts';
import { liveOnce, type Life } from './life.ts';
import { freePort } from '../../demo/free-port.ts';
import { readWorkerConfig } from '../../worker/config.ts';
import { workflowBundle } from '../../worker/workflow-bundle.ts';
import { forget, testPolicies } from './platform.ts';
import { pick } from './seed.ts';

const ways = ['before', 'inside', 'after'] as const;

export interface KillPoint {
  readonly activity: string;
  readonly at: (typeof ways)[number];
  /** How long after its start an activity is killed inside; one that is done sooner is killed then. */
  readonly insideMs: number;
  /** The machine whose activity it is. */
  readonly machine: string;
}

/** What a worker that kills itself is told. */
export interface Kills {
  readonly folder: string;
  readonly machines: readonly string[];
  readonly points: readonly KillPoint[];
}

export interface Crashed {
  /** Activities at whose point a worker was killed. */
  readonly killed: readonly string[];
  readonly points: readonly KillPoint[];
  /** A life in which nothing was killed. */
  readonly calm: Life;
  readonly lives: readonly Life[];
}

/** Names of the product's activities; nothing is asked of the ports to list them. */
export const activityNames: readonly string[] = Object.keys(createActivities({} as Ports)).sort();

interface Served {
  readonly api: Api;
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

/** Of a log, where something went wrong. */
const LINES_TOLD = 30;
/** Two meet at the Service that both are behind; more live the same life again beside them, and wait for the same starts of workers. */
const MACHINES = 2;
/** One that is killed leaves the other at work while its successor starts. */
const WORKERS = 2;

/** An SSH login takes about 200 ms; a call of the cluster is on its way after a few. */
const insideOf = (activity: string): number =>
  /^(read|render|find|apply|remove|verify|ask|drainWorkloadEntry)/.test(activity)
    ? pick(`ms in ${activity}`, [2, 5, 10])
    : pick(`ms in ${activity}`, [200, 400, 800, 1_500]);

/** Kills at one point of every activity: `shift` moves each to the next way, so three runs are all points. */
export async function crashEverywhere(shift: number): Promise<Crashed> {
  const env = await sandboxEnv();
  await applyHostPolicies(testPolicies);
  const namespace = `crashes-${ulid().toLowerCase()}`;
  const folder = mkdtempSync(join(tmpdir(), 'meshlift-crashes-'));
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-accounts-'));
  const accounts = await deployed(env, scratch);
  const [calm, ...machines] = await addMachines([
    'calm',
    ...Array.from({ length: MACHINES }, (_, n) => `crash-${n + 1}`),
  ]);
  if (calm === undefined) throw new Error('There is no machine to live calmly');
  const points = activityNames.map((activity, index): KillPoint => {
    const first = ways.indexOf(pick(`way of ${activity}`, ways));
    return {
      activity,
      at: ways[(first + shift) % ways.length] ?? 'before',
      insideMs: insideOf(activity),
      machine: machines[index % machines.length]?.name ?? '',
    };
  });
  const kills: Kills = { folder, machines: machines.map(({ name }) => name), points };
  const asWorker = { ...env.exports, KUBECONFIG: accounts.worker };
  // Made once, and not by each of the workers that start at the same time: a successor is soon at work.
  await workflowBundle(readWorkerConfig(asWorker).workflowCache);
  const worked = superviseWorkers({ ...asWorker, TEMPORAL_NAMESPACE: namespace }, kills);
  const calmly = superviseWorkers(
    { ...asWorker, TEMPORAL_NAMESPACE: `${namespace}-calm` },
    { ...kills, points: [] },
    1,
  );
  const serve = async (temporalNamespace: string): Promise<Served> => {
    const listen = `127.0.0.1:${await freePort()}`;
    const variables = {
      ...env.exports,
      KUBECONFIG: accounts.api,
      TEMPORAL_NAMESPACE: temporalNamespace,
      MESHLIFT_LISTEN: listen,
    };
    const log = `${folder}-${temporalNamespace}.log`;
    const server = await startProcess('api', { ...variables, MESHLIFT_AUTH: 'off' }, log);
    const stop = async (): Promise<void> => {
      await server.stop();
      rmSync(log, { force: true });
    };
    return { api: new Api(`http://${listen}`), log: server.log, stop };
  };
  const servers = await Promise.all([namespace, `${namespace}-calm`].map(serve));
  const [api, calmApi] = servers.map((server) => server.api);
  try {
    if (api === undefined || calmApi === undefined) throw new Error('There is no API');
    const [calmLife, ...lives] = await Promise.all([
      liveOnce(calmApi, env, calm),
      ...machines.map((machine) => liveOnce(api, env, machine)),
    ]);
    return { killed: readdirSync(folder).sort(), points, calm: calmLife, lives };
  } catch (error) {
    const logs = servers.map(({ log }) => log().split('\n').slice(-LINES_TOLD).join('\n'));
    throw new Error(`${String(error)}\nThe APIs wrote at last:\n${logs.join('\n\n')}`, { cause: error });
  } finally {
    await Promise.all([worked(), calmly()]);
    await Promise.all(servers.map(({ stop }) => stop()));
    for (const machine of [calm, ...machines]) await forget(machine);
    for (const one of [folder, scratch]) rmSync(one, { recursive: true, force: true });
  }
}

/** One verb for all of them: the sandbox takes one at a time. */
async function addMachines(names: readonly string[]): Promise<SandboxMachine[]> {
  const run = ulid().slice(-6).toLowerCase();
  const wanted = names.map((name) => `${name}-${run}`);
  await sandbox('machine', 'add', ...wanted, '--namespace', 'shop');
  const { machines } = await sandboxEnv();
  return wanted.flatMap((name) => machines.find((machine) => machine.name === name) ?? []);
}

/** Keeps this many workers running, each replaced the moment it is gone; resolves the returned end when all are. */
function superviseWorkers(env: Readonly<Record<string, string>>, kills: Kills, count = WORKERS): () => Promise<void> {
  let isOver = false;
  const running = new Set<ReturnType<typeof spawn>>();
  const keep = async (): Promise<void> => {
    while (!isOver) {
      const child = spawn(process.execPath, [join(import.meta.dirname, 'killing-worker.ts')], {
        env: { ...process.env, ...env, MESHLIFT_TEST_KILLS: JSON.stringify(kills) },
        stdio: ['ignore', 'ignore', 2],
      });
      running.add(child);
      await new Promise((resolve) => child.once('exit', resolve));
      running.delete(child);
    }
  };
  const kept = Promise.all(Array.from({ length: count }, keep));
  return async () => {
    isOver = true;
    for (const child of running) child.kill('SIGKILL');
    await kept;
  };
}
