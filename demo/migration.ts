/** The demo's end: what the machines of `orders` serve moves to pods while a pod calls it, and the machines leave. */
import type { CreateMigration } from '../api/schemas/migration.ts';
import type { Operation } from '../api/schemas/operation.ts';
import type { Api } from './api-client.ts';
import { startLoad } from './load.ts';
import { podAddress } from './sandbox-client.ts';
import type { Summary } from './summary.ts';

const ratePerSecond = 100;

const request: CreateMigration = {
  ...{ name: 'orders-to-pods', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
  target: { deployment: 'orders' },
  steps: [10, 50, 100].map((weight) => ({ weight, hold: '5s' })),
  // One in fifty requests of the load takes 3 s: of the some fifty that 10% brings, one more or less of these makes another mean.
  ...{ analysis: { minRequests: 30, maxLatencyRatio: 10 }, soak: '5s', silence: '3s' },
};

export async function migrateOrders(api: Api, say: (message: string) => void): Promise<Summary['migrations'][number]> {
  const { namespace, name } = request;
  const sayOf = (message: string): void => {
    say(`${namespace}/${name}: ${message}`);
  };
  const frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  const load = await startLoad(frontend, ['http://orders.shop.svc.cluster.local/'], ratePerSecond);
  const { id } = await asked(api, '/v1/migrations', request, 202);
  sayOf(`operation ${id}`);
  const [, { phase, message, steps, cutover }] = await Promise.all([
    // A run that ends before is told of by its own end.
    finalizeWhenAsked(api, id).catch((error: unknown) => {
      sayOf(String(error));
    }),
    api.finished(id, sayOf, 300_000),
  ]);
  sayOf(`${phase}${message === undefined ? '' : `: ${message}`}`);
  const { sent, failed, latencyMs } = await load.stop();
  const seconds = (startedAt?: string, endedAt?: string): number =>
    startedAt === undefined || endedAt === undefined ? 0 : (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  return {
    ...{ namespace, name, phase, sent, failed },
    p99Ms: latencyMs.p99,
    weights: (cutover?.changes ?? []).map(({ weight }) => weight),
    steps: steps.map(({ name: step, startedAt, endedAt }) => ({ name: step, seconds: seconds(startedAt, endedAt) })),
  };
}

async function finalizeWhenAsked(api: Api, id: string): Promise<void> {
  await api.waitsFor(id, /finalize/, 300_000);
  await asked(api, `/v1/operations/${id}/finalize`, { reason: 'the demo goes on' }, 200);
}

async function asked(api: Api, path: string, body: object, wanted: number): Promise<Operation> {
  const answer = await api.call<Operation>('POST', path, body);
  if (answer.status !== wanted)
    throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}
