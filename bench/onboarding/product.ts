/** Meshlift's own path: a durable workflow a machine, on a real Temporal server, with the product's activities and SSH adapter. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { Client, Connection } from '@temporalio/client';
import { ulid } from 'ulid';

import { clusterActivities } from '../../activities/cluster.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import { setUpTemporal } from '../../worker/temporal-setup.ts';
import { QUEUE } from '../../worker/worker.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { inspectedPaths } from '../../workflows/plan/inspected-paths.ts';
import type { DecidableInput } from '../../workflows/plan/plan-input.ts';
import type { BenchMachine, Lab } from './fleet.ts';
import { login, type Parts } from './parts.ts';
import type { Payload } from './payload.ts';
import { cluster, credentialsName, labPorts, namespace, token } from './ports.ts';
import type { OnboardFilesInput, onboardFiles } from './workflow.ts';

export interface Product {
  /** Facts and rendered files of a machine, as the workflow is given them. */
  readonly prepare: (machine: BenchMachine) => Promise<Prepared>;
  /** Starts a workflow for each, all at once, and waits for every end. */
  readonly onboard: (machines: readonly Prepared[], readsFacts: boolean) => Promise<void>;
}

export interface Prepared {
  readonly input: DecidableInput;
  readonly payload: Payload;
}

const address = '127.0.0.1:7233';

/** Starts Temporal and the worker, each in its group; they end with the lab. The server's file is in memory, as in the sandbox. */
export async function startProduct(
  lab: Lab,
  parts: Parts,
  groups: { readonly server: string; readonly worker: string },
): Promise<Product> {
  const inGroup = (group: string, ...command: readonly string[]) =>
    spawn('sh', ['-c', 'echo 0 >"$0/cgroup.procs" && exec "$@"', group, ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, HOME: lab.scratch },
    });
  const server = ['server', 'start-dev', '--headless', '--port', '7233', '--log-level', 'never'];
  inGroup(groups.server, parts.temporal, ...server, '--db-filename', join(lab.memory, 'temporal.db'));
  const connection = await connected();
  await setUpTemporal(connection, namespace);
  const worker = inGroup(
    groups.worker,
    process.execPath,
    join(import.meta.dirname, 'worker.ts'),
    address,
    lab.loginKeyFile,
  );
  await once(createInterface(worker.stdout), 'line');
  const client = new Client({ connection, namespace });
  return {
    prepare: async (machine) => await prepare(machine, lab),
    onboard: async (machines, readsFacts) => {
      await Promise.all(
        machines.map(async ({ input }) => {
          const { name } = input.request;
          const args: [OnboardFilesInput] = [{ input, readsFacts }];
          // Memo and attributes are those that a machine's entity starts an onboarding with.
          await client.workflow.execute<typeof onboardFiles>('onboardFiles', {
            memo: { verb: 'onboard', namespace, name },
            typedSearchAttributes: [
              { key: searchAttributes.namespace, value: namespace },
              { key: searchAttributes.workloadGroup, value: input.request.workloadGroup },
              { key: searchAttributes.operation, value: 'onboard' },
              { key: searchAttributes.phase, value: 'Running' },
            ],
            workflowId: `onboard-${namespace}-${name}-${ulid().toLowerCase()}`,
            taskQueue: QUEUE,
            args,
          });
        }),
      );
    },
  };
}

async function connected(): Promise<Connection> {
  for (;;) {
    const connection = await Connection.connect({ address }).catch(() => undefined);
    if (connection !== undefined) return connection;
    await delay(100);
  }
}

async function prepare({ name, port, knownHost }: BenchMachine, lab: Lab): Promise<Prepared> {
  const request: OnboardMachine = {
    ...{ name, namespace, workloadGroup: 'orders', workload: { labels: { app: 'orders' }, ports: { http: 8080 } } },
    host: { address: '127.0.0.1', port, user: login.user, credentialsName, hostKey: { knownHosts: knownHost } },
  };
  const ports = labPorts(lab.loginKey);
  const host = await ports.host.locate(request.host);
  const inspect = () => ports.host.inspect(host, inspectedPaths, new AbortController().signal);
  // A machine whose neighbours all start at once may drop a connection; the product's activities are tried again as well.
  const inspected = await inspect().catch(inspect);
  // Every sshd of the lab is on the same loopback; a machine of one's own shows one.
  const machine = { ...inspected, listening: [] };
  const rendered = await clusterActivities(ports).renderMachine({ request, cluster, machine });
  return {
    input: { request, isMember: false, cluster, machine, rendered, failures: {} },
    payload: { files: [...rendered.files, { ...rendered.token, content: token }], hostsLines: rendered.hostsLines },
  };
}
