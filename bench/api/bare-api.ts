/**
 * fastify and the SDK with nothing between them, and the controls: the same with more calls than one. Arguments: Temporal's address
 * and namespace, the port to listen on.
 */
import { Client, Connection, WithStartWorkflowOperation } from '@temporalio/client';
import Fastify from 'fastify';
import { ulid } from 'ulid';

import { answerId, bareQueue, controlCalls } from './bare.ts';
import type { bareStart } from './workflow.ts';

const [address = '', namespace = '', port = '0'] = process.argv.slice(2);
const client = new Client({ connection: await Connection.connect({ address }), namespace });
const app = Fastify({ logger: false });

const read = async (): Promise<unknown> => await client.workflow.getHandle(answerId).query('payload');

async function start(body: unknown): Promise<unknown> {
  const operationId = `onboard-${ulid().toLowerCase()}`;
  const startWorkflowOperation = new WithStartWorkflowOperation<typeof bareStart>('bareStart', {
    workflowId: `bare/${operationId}`,
    taskQueue: bareQueue,
    args: [operationId],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
  return await client.workflow.executeUpdateWithStart('start', {
    ...{ updateId: operationId, args: [body], startWorkflowOperation },
  });
}

async function times<T>(count: number, call: () => Promise<T>): Promise<T> {
  for (let left = count; left > 1; left--) await call();
  return await call();
}

app.get('/machine', read);
app.get('/control', async () => await times(controlCalls, read));
app.post('/machine', async ({ body }, reply) => await reply.code(202).send(await start(body)));
app.post('/control', async ({ body }, reply) => {
  return await reply.code(202).send(await times(controlCalls, async () => await start(body)));
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.stdout.write('listens\n');
