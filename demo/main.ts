/**
 * The main job on the sandbox: brings the platform up, onboards three machines through the REST API while they serve, and
 * shows what came of it. It stays up until asked to stop; `-- --exit` leaves at once, `-- --json` prints the summary as one
 * JSON object on the last line of standard output. Progress goes to standard error.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Api } from './api-client.ts';
import { applyHostPolicies } from './host-policy.ts';
import { type MeshliftProcess, startProcess } from './meshlift-process.ts';
import { migrateOrders } from './migration.ts';
import { type DemoMachine, onboardAll, startTraffic } from './onboarding.ts';
import { readWords } from './read-words.ts';
import { addMachine, bringUp, isUp, sandboxEnv, takeDown } from './sandbox-client.ts';
import { renderSummary, type Summary } from './summary.ts';
import { deployTarget } from './target.ts';

const { values: options } = readWords(
  { options: { exit: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } } },
  'npm run demo -- [--exit] [--json]',
);

const startedAt = Date.now();
const secondsSoFar = (): number => (Date.now() - startedAt) / 1000;
const say = (message: string): void => {
  process.stderr.write(`${secondsSoFar().toFixed(1).padStart(6)} s  ${message}\n`);
};

/** Resolves at the first SIGINT or SIGTERM. */
const askedToStop = new Promise<void>((resolve) => {
  process.once('SIGINT', resolve);
  process.once('SIGTERM', resolve);
});

/** Two machines of one workload, and one of another namespace that reaches the cluster through the gateway alone. */
const wanted = [
  { name: 'orders-1', namespace: 'shop', workloadGroup: 'orders', network: 'direct', endsAs: 'Migrated' },
  { name: 'orders-2', namespace: 'shop', workloadGroup: 'orders', network: 'direct', endsAs: 'Migrated' },
  { name: 'ledger-1', namespace: 'bank', workloadGroup: 'ledger', network: 'gateway', endsAs: 'InMesh' },
] as const;

async function addMachines(): Promise<DemoMachine[]> {
  const machines: DemoMachine[] = [];
  for (const { name, namespace, workloadGroup, network } of wanted) {
    say(`machine ${namespace}/${name}: booting (network ${network})`);
    machines.push({ ...(await addMachine(name, namespace, network)), workloadGroup, network });
  }
  return machines;
}

async function mainJob(): Promise<Summary> {
  const machines = await addMachines();
  const env = await sandboxEnv();
  say('HostPolicy: the namespaces shop and bank may claim the machines of the sandbox');
  await applyHostPolicies();
  say('Meshlift: starting its worker and its API');
  meshlift.push(await startProcess('worker', env.exports, join(scratch, 'worker.log')));
  meshlift.push(await startProcess('api', env.exports, join(scratch, 'api.log')));
  const api = new Api(env.meshliftApi);

  // A demo that ran before may have left its pods.
  await deployTarget('shop', 'orders');
  say('traffic: a pod calls the machines in plaintext while they join');
  const traffic = await startTraffic(machines);
  const joined = await onboardAll(api, env, machines, say);
  say('traffic: pod to machines and machine to pods, through the mesh');
  const total = await traffic.throughTheMesh();
  say('migration: orders moves from its machines to pods while a pod calls it');
  const migration = await migrateOrders(api, say);
  const phases = joined.map(async ({ namespace, name }) => (await api.machine(namespace, name)).phase);
  const after = await Promise.all(phases);
  return {
    machines: joined.map((machine, index) => ({ ...machine, phase: after[index] ?? machine.phase })),
    migrations: [migration],
    traffic: total,
    urls: {
      api: env.meshliftApi,
      docs: `${env.meshliftApi}/docs`,
      // Its own start page shows the namespace `default`, where nothing runs.
      temporalUi: `${env.temporalUi}/namespaces/${env.temporalNamespace}/workflows`,
    },
    seconds: secondsSoFar(),
  };
}

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-demo-'));
const meshlift: MeshliftProcess[] = [];
const wasUp = await isUp();
try {
  say(wasUp ? 'sandbox: is up already, and stays up' : 'sandbox: coming up');
  await bringUp();
  const summary = await mainJob();
  process.stderr.write(`\n${renderSummary(summary)}\n\n`);
  const isServed = [summary.traffic, ...summary.migrations].every(({ failed }) => failed === 0);
  const isGood = isServed && summary.machines.every(({ phase }, index) => phase === wanted[index]?.endsAs);
  process.exitCode = isGood ? 0 : 1;
  if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  if (!options.exit) {
    say('stays up until asked to stop (Ctrl-C)');
    await askedToStop;
  }
} finally {
  for (const process of meshlift.reverse()) await process.stop();
  if (!wasUp) {
    say('sandbox: going down');
    await takeDown();
  }
  rmSync(scratch, { recursive: true, force: true });
}
