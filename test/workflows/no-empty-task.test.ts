/** A worker that was replaced reads empty workflow tasks together with the next ones: no workflow may be stuck by that. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

import { eventually } from '../../demo/eventually.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { bundled } from '../../worker/workflow-bundle.ts';
import { askUpdate, newsSignal, stateQuery, type woken } from '../support/woken.ts';

const workflowsPath = new URL('../support/woken.ts', import.meta.url).pathname;
const run = Date.now().toString(36);
const logger = new DefaultLogger('ERROR');

let connection: NativeConnection;
let client: Client;

beforeAll(async () => {
  Runtime.install({ logger, shutdownSignals: [] });
  const { temporalAddress: address } = await sandboxEnv();
  connection = await NativeConnection.connect({ address });
  client = new Client({ connection: await Connection.connect({ address }) });
});

afterAll(async () => {
  await client.connection.close();
  await connection.close();
});

async function withWorker(taskQueue: string, modules: string[], use: () => Promise<void>): Promise<void> {
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, workflowInterceptorModules: modules, logger });
  // Nothing is cached: each task finds a worker that has just begun.
  const worker = await Worker.create({ connection, taskQueue, workflowBundle, maxCachedWorkflows: 0 });
  await worker.runUntil(use);
}

/** Events of the history, without the prefix that all have. */
async function events(handle: WorkflowHandle): Promise<number[]> {
  const { events = [] } = await handle.fetchHistory();
  return (events ?? []).map(({ eventType }) => Number(eventType));
}

const TASK_COMPLETED = 7;
const TASK_FAILED = 9;
const TIMER_STARTED = 17;

describe.each([
  ['with what is around our workflows', bundled.workflowInterceptorModules, 'goes on'],
  ['without it, as long as Temporal has not mended it', [], 'is stuck'],
])('%s', (_, modules, end) => {
  test.each([
    ['news', false],
    ['news and a request that was refused', true],
  ])(
    `a workflow that was asked twice at once after %s ${end}`,
    async (news, isRefusing) => {
      const taskQueue = `no-empty-task-${run}-${modules.length}-${isRefusing ? 'refusing' : 'plain'}`;
      const handle = await client.workflow.start<typeof woken>('woken', { taskQueue, workflowId: taskQueue });
      const ask = async (isRefused: boolean): Promise<void> => {
        await handle.executeUpdate(askUpdate, { args: [isRefused] });
      };
      await withWorker(taskQueue, modules, async () => {
        await eventually('it waits', async () => (await handle.query(stateQuery)) === 'waits for news');
      });
      // What comes while there is no worker is brought by one task.
      await handle.signal(newsSignal);
      const taken = (isRefusing ? [ask(true)] : []).map((answer) =>
        answer.then(
          () => true,
          () => false,
        ),
      );
      await withWorker(taskQueue, modules, async () => {
        expect(await Promise.all(taken)).not.toContain(true);
        await eventually('it heard', async () => (await handle.query(stateQuery)) === 'waits for a request');
      });
      const asked = Promise.all([ask(false), ask(false)]);
      await withWorker(taskQueue, modules, async () => {
        await asked;
        await eventually('its timer runs', async () => (await events(handle)).includes(TIMER_STARTED));
        const before = (await events(handle)).length;
        await handle.signal(newsSignal);
        await eventually('it took one more task', async () =>
          (await events(handle)).slice(before).some((type) => type === TASK_COMPLETED || type === TASK_FAILED),
        );
      });
      expect((await events(handle)).includes(TASK_FAILED) ? 'is stuck' : 'goes on').toBe(end);
      await handle.terminate(news);
    },
    60_000,
  );
});
