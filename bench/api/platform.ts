/** A Temporal server of the benchmark's own, the worker, the product's API and the bare one, all on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { Client, Connection } from '@temporalio/client';

import { type MeshliftProcess, startProcess } from '../../demo/meshlift-process.ts';
import { goBuild } from '../../sandbox/parts/go-builds.ts';
import { setUpTemporal } from '../../worker/temporal-setup.ts';
import { freePort } from '../../demo/free-port.ts';

export interface ApiPlatform {
  readonly client: Client;
  readonly product: string;
  readonly bare: string;
  /** One more API of the product, with these variables over those of the first. */
  readonly startApi: (name: string, env: Readonly<Record<string, string>>) => Promise<string>;
  readonly stop: () => Promise<void>;
}

const namespace = 'bench';

export async function startApiPlatform(): Promise<ApiPlatform> {
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-bench-'));
  const children: ChildProcess[] = [];
  const apis: MeshliftProcess[] = [];
  const temporal = join(await goBuild('temporal'), 'temporal');
  const temporalPort = String(await freePort());
  const address = `127.0.0.1:${temporalPort}`;
  const server = ['server', 'start-dev', '--headless', '--port', temporalPort, '--log-level', 'never'];
  const env = { ...process.env, HOME: scratch };
  children.push(spawn(temporal, server, { stdio: 'ignore', env }));
  const connection = await connected(address);
  await setUpTemporal(connection, namespace);

  const script = async (name: string, ...args: readonly string[]): Promise<void> => {
    const child = spawn(process.execPath, [join(import.meta.dirname, name), address, namespace, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(createInterface(child.stdout), 'line');
  };
  await script('worker.ts', join(scratch, 'workflows'));
  const barePort = String(await freePort());
  await script('bare-api.ts', barePort);
  const startApi: ApiPlatform['startApi'] = async (name, more) => {
    const listen = `127.0.0.1:${await freePort()}`;
    const variables = { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace, MESHLIFT_LISTEN: listen, ...more };
    apis.push(await startProcess('api', variables, join(scratch, `${name}.log`)));
    return `http://${listen}`;
  };
  const product = await startApi('api', { MESHLIFT_AUTH: 'off', MESHLIFT_RATE_LIMIT: '99999' });
  return {
    client: new Client({ connection, namespace }),
    product,
    bare: `http://127.0.0.1:${barePort}`,
    startApi,
    stop: async () => {
      for (const api of apis) await api.stop();
      await connection.close();
      for (const child of children.reverse()) {
        const gone = once(child, 'exit');
        if (child.exitCode === null && child.kill('SIGKILL')) await gone;
      }
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

async function connected(address: string): Promise<Connection> {
  for (;;) {
    const connection = await Connection.connect({ address }).catch(() => undefined);
    if (connection !== undefined) return connection;
    await delay(100);
  }
}
