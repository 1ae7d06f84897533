/** What an end-to-end file starts from: the shared sandbox, and Meshlift running as processes of its own. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ulid } from 'ulid';

import { Api } from '../../demo/api-client.ts';
import { applyHostPolicies } from '../../demo/host-policy.ts';
import { type MeshliftProcess, startProcess } from '../../demo/meshlift-process.ts';
import { sandbox, type SandboxEnv, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { type Deployed, deployed } from './deployed.ts';
import { freePort } from '../../demo/free-port.ts';
import { command, freshMachine } from './sandbox.ts';

export interface Platform {
  readonly env: SandboxEnv;
  readonly accounts: Deployed;
  readonly api: Api;
  /** A machine of this file's own; it is gone after `stop`. */
  readonly machine: typeof freshMachine;
  /** Temporal's own CLI in this file's namespace; answers JSON text. */
  readonly temporal: (...args: string[]) => Promise<string>;
  readonly worker: () => MeshliftProcess;
  /** What every worker and API of this file has logged. */
  readonly logs: () => string;
  /** kill -9 of the worker, and another in its place. */
  readonly replaceWorker: () => Promise<void>;
  readonly replaceApi: () => Promise<void>;
  /** Ends Meshlift's processes; the sandbox stays for the next file. */
  readonly stop: () => Promise<void>;
}

export interface PlatformOptions {
  /** Use the API's address and the Temporal namespace that `sandbox env` names, as a reader of the README does. */
  readonly asEnvSays?: boolean;
  /** Another kubeconfig for the worker, made of its account's. */
  readonly workerKubeconfig?: (account: string) => string;
  /** Variables of the worker alone. */
  readonly worker?: Readonly<Record<string, string>>;
  /** Variables of the API alone. */
  readonly apiEnv?: Readonly<Record<string, string>>;
}

export const testPolicies = join(import.meta.dirname, 'host-policy.yaml');

/** Each file has an API and a Temporal namespace of its own, unless told otherwise, so that files run side by side. */
export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const shared = await sandboxEnv();
  const env = options.asEnvSays === true ? shared : await withOwnAddresses(shared);
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-e2e-'));
  await applyHostPolicies(testPolicies);
  const accounts = await deployed(env, scratch);
  const workerKubeconfig = options.workerKubeconfig?.(accounts.worker) ?? accounts.worker;
  const machines: SandboxMachine[] = [];
  let workers = 0;
  const startWorker = async (): Promise<MeshliftProcess> =>
    await startProcess(
      'worker',
      { ...env.exports, KUBECONFIG: workerKubeconfig, ...options.worker },
      join(scratch, `worker-${++workers}.log`),
    );
  let worker = await startWorker();
  let apis = 0;
  const startApi = async (): Promise<MeshliftProcess> => {
    const listen = { MESHLIFT_LISTEN: new URL(env.meshliftApi).host };
    const variables = { ...env.exports, KUBECONFIG: accounts.api, ...listen, ...options.apiEnv };
    return await startProcess('api', variables, join(scratch, `api-${++apis}.log`));
  };
  let api = await startApi();
  return {
    env,
    accounts,
    api: new Api(env.meshliftApi),
    machine: async (...wanted) => {
      const machine = await freshMachine(...wanted);
      machines.push(machine);
      return machine;
    },
    temporal: async (...args) =>
      await command('temporal', ...args, '--namespace', env.temporalNamespace, '--output', 'json'),
    worker: () => worker,
    logs: () =>
      readdirSync(scratch)
        .filter((name) => name.endsWith('.log'))
        .map((name) => readFileSync(join(scratch, name), 'utf8'))
        .join('\n'),
    replaceWorker: async () => {
      await worker.stop('SIGKILL');
      worker = await startWorker();
    },
    replaceApi: async () => {
      await api.stop('SIGKILL');
      api = await startApi();
    },
    stop: async () => {
      await api.stop();
      await worker.stop();
      for (const machine of machines) await forget(machine);
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

/** Another machine may get its address: what a test left of it in the cluster would be in the way. */
export async function forget({ name, namespace }: SandboxMachine): Promise<void> {
  await sandbox('machine', 'remove', name);
  const kinds = 'peerauthentications,sidecars,authorizationpolicies,workloadentries';
  await command('kubectl', '-n', namespace, 'delete', kinds, '-l', `meshlift.dev/machine=${name}`);
}

async function withOwnAddresses(shared: SandboxEnv): Promise<SandboxEnv> {
  const temporalNamespace = `e2e-${ulid().toLowerCase()}`;
  const meshliftApi = `http://127.0.0.1:${await freePort()}`;
  const exports = { ...shared.exports, TEMPORAL_NAMESPACE: temporalNamespace, MESHLIFT_API: meshliftApi };
  return { ...shared, temporalNamespace, meshliftApi, exports };
}
