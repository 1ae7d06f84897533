/** What an end-to-end file starts from: the shared sandbox, and Meshlift running as processes of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Api } from '../../demo/api-client.ts';
import { type MeshliftProcess, startProcess } from '../../demo/meshlift-process.ts';
import { sandbox, type SandboxEnv, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { freshMachine } from './sandbox.ts';

export interface Platform {
  readonly env: SandboxEnv;
  readonly api: Api;
  /** A machine of this file's own; it is gone after `stop`. */
  readonly machine: typeof freshMachine;
  readonly worker: () => MeshliftProcess;
  /** kill -9 of the worker, and another in its place. */
  readonly replaceWorker: () => Promise<void>;
  /** Ends Meshlift's processes; the sandbox stays for the next file. */
  readonly stop: () => Promise<void>;
}

export async function startPlatform(): Promise<Platform> {
  const env = await sandboxEnv();
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-e2e-'));
  const machines: SandboxMachine[] = [];
  let workers = 0;
  const startWorker = async (): Promise<MeshliftProcess> =>
    await startProcess('worker', env.exports, join(scratch, `worker-${++workers}.log`));
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
