/** What an end-to-end file starts from: the shared sandbox, and Meshlift running as processes of its own. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ulid } from 'ulid';

import { Api } from '../../demo/api-client.ts';
import { type MeshliftProcess, startProcess } from '../../demo/meshlift-process.ts';
import { sandbox, type SandboxEnv, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { command, freshMachine } from './sandbox.ts';

export interface Platform {
  readonly env: SandboxEnv;
  readonly api: Api;
  /** A machine of this file's own; it is gone after `stop`. */
  readonly machine: typeof freshMachine;
  /** Temporal's own CLI in this file's namespace; answers JSON text. */
  readonly temporal: (...args: string[]) => Promise<string>;
  readonly worker: () => MeshliftProcess;
  /** kill -9 of the worker, and another in its place. */
  readonly replaceWorker: () => Promise<void>;
  /** Ends Meshlift's processes; the sandbox stays for the next file. */
  readonly stop: () => Promise<void>;
}

export interface PlatformOptions {
  /** Use the API's address and the Temporal namespace that `sandbox env` names, as a reader of the README does. */
  readonly asEnvSays?: boolean;
  /** Variables of the worker alone. */
  readonly worker?: Readonly<Record<string, string>>;
}

/** Each file has an API and a Temporal namespace of its own, unless told otherwise, so that files run side by side. */
export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const shared = await sandboxEnv();
  const env = options.asEnvSays === true ? shared : await withOwnAddresses(shared);
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-e2e-'));
  const machines: SandboxMachine[] = [];
  let workers = 0;
  const startWorker = async (): Promise<MeshliftProcess> =>
    await startProcess('worker', { ...env.exports, ...options.worker }, join(scratch, `worker-${++workers}.log`));
  let worker = await startWorker();
  const api = await startProcess(
    'api',
    { ...env.exports, MESHLIFT_LISTEN: new URL(env.meshliftApi).host },
    join(scratch, 'api.log'),
  );
  return {
    env,
    api: new Api(env.meshliftApi),
    machine: async (...wanted) => {
      const machine = await freshMachine(...wanted);
      machines.push(machine);
      return machine;
    },
    temporal: async (...args) =>
      await command('temporal', ...args, '--namespace', env.temporalNamespace, '--output', 'json'),
    worker: () => worker,
    replaceWorker: async () => {
      await worker.stop('SIGKILL');
      worker = await startWorker();
    },
    stop: async () => {
      await api.stop();
      await worker.stop();
      for (const { name } of machines) await sandbox('machine', 'remove', name);
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

async function withOwnAddresses(shared: SandboxEnv): Promise<SandboxEnv> {
  const temporalNamespace = `e2e-${ulid().toLowerCase()}`;
  const meshliftApi = `http://127.0.0.1:${await freePort()}`;
  const exports = { ...shared.exports, TEMPORAL_NAMESPACE: temporalNamespace, MESHLIFT_API: meshliftApi };
  return { ...shared, temporalNamespace, meshliftApi, exports };
}

/** A port nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
