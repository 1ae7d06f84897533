/** POST to InMesh on the sandbox's real machines: one, four and eight at once, and how long each step took. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ulid } from 'ulid';

import type { Operation } from '../../api/schemas/operation.ts';
import { Api } from '../../demo/api-client.ts';
import { startProcess } from '../../demo/meshlift-process.ts';
import {
  addMachine,
  isUp,
  onboardRequest,
  sandbox,
  type SandboxEnv,
  sandboxEnv,
  type SandboxMachine,
} from '../../demo/sandbox-client.ts';
import { freePort } from '../../demo/free-port.ts';
import { median } from '../statistics.ts';

const counts = [1, 4, 8];
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** Seconds until the last machine was in the mesh, and the median of each step; a message where it cannot be measured. */
export async function measureInMesh(): Promise<unknown> {
  if (!(await isUp())) return 'not measured: no sandbox is up (npm run sandbox -- up)';
  try {
    return await measureOnSandbox();
  } catch (error) {
    return `not measured: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function measureOnSandbox(): Promise<unknown[]> {
  const names = Array.from({ length: Math.max(...counts) }, (_, index) => `bench-${index + 1}`);
  const machines: SandboxMachine[] = [];
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-bench-'));
  try {
    for (const name of names) machines.push(await addMachine(name, 'shop'));
    const env = await withOwnAddresses(await sandboxEnv());
    const worker = await startProcess('worker', env.exports, join(scratch, 'worker.log'));
    const api = await startProcess('api', env.exports, join(scratch, 'api.log'));
    try {
      const measured: unknown[] = [];
      for (const count of counts) measured.push(await onboard(env, machines.slice(0, count)));
      return measured;
    } finally {
      await api.stop();
      await worker.stop();
    }
  } finally {
    const left = (await sandboxEnv()).machines.filter(({ name }) => names.includes(name));
    for (const { name } of left) await sandbox('machine', 'remove', name);
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function withOwnAddresses(shared: SandboxEnv): Promise<SandboxEnv> {
  const port = await freePort();
  const own = {
    MESHLIFT_AUTH: 'off',
    MESHLIFT_LISTEN: `127.0.0.1:${port}`,
    TEMPORAL_NAMESPACE: `bench-${ulid().toLowerCase()}`,
  };
  return { ...shared, meshliftApi: `http://127.0.0.1:${port}`, exports: { ...shared.exports, ...own } };
}

async function onboard(env: SandboxEnv, machines: readonly SandboxMachine[]): Promise<unknown> {
  const api = new Api(env.meshliftApi);
  const began = performance.now();
  const operations = await Promise.all(
    machines.map(async (machine) => {
      const { id } = await api.onboard(onboardRequest(env, machine, 'bench'));
      const ended = await api.finished(id);
      if (ended.phase !== 'Succeeded') throw new Error(`${id} ended ${ended.phase}: ${ended.message ?? ''}`);
      return ended;
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  say(`POST to InMesh, ${machines.length} machines: ${seconds.toFixed(2)} s`);
  await Promise.all(
    machines.map(async ({ namespace, name }) => {
      await api.finished((await api.offboard(namespace, name)).id);
    }),
  );
  return { machines: machines.length, seconds: Math.round(seconds * 100) / 100, stepSeconds: stepSeconds(operations) };
}

function stepSeconds(operations: readonly Operation[]): Readonly<Record<string, number>> {
  const steps = operations[0]?.steps.map(({ name }) => name) ?? [];
  const secondsOf = (operation: Operation, name: string): number => {
    const step = operation.steps.find((one) => one.name === name);
    return (Date.parse(step?.endedAt ?? '') - Date.parse(step?.startedAt ?? '')) / 1000;
  };
  return Object.fromEntries(steps.map((name) => [name, median(operations.map((one) => secondsOf(one, name)))]));
}
