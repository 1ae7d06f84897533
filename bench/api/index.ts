/** The API's latency beside fastify and the bare SDK: alternating windows on one machine, the same payload, authentication off. */
import type { Machine, OnboardMachine } from '../../api/schemas/machine.ts';
import { eventually } from '../../demo/eventually.ts';
import { type BenchReport, host, type Ratio } from '../report.ts';
import { percentile } from '../statistics.ts';
import { measureAuth } from './auth.ts';
import { answerId, bareQueue } from './bare.ts';
import { type ApiPlatform, startApiPlatform } from './platform.ts';
import { timed } from './timed.ts';
import type { bareAnswer } from './workflow.ts';

const getsPerWindow = 150;
const postsPerWindow = 40;

let made = 0;
const request = (): OnboardMachine => ({
  name: `bench-${++made}`,
  namespace: 'bench',
  workloadGroup: 'orders',
  workload: { labels: { app: 'orders' }, ports: { http: 8080 }, serviceAccount: 'orders' },
  host: {
    address: '127.0.0.1',
    user: 'ops',
    credentialsName: 'bench',
    hostKey: { fingerprint: `SHA256:${'A'.repeat(43)}` },
  },
});

type Target = (platform: ApiPlatform) => Promise<number>;

const get =
  (url: (platform: ApiPlatform) => string): Target =>
  async (platform) =>
    (await timed(url(platform), 200)).tookMs;

/** What a POST sets going is over before the next one: the product's operation and its machine, or the one workflow that took it. */
const post =
  (url: (platform: ApiPlatform) => string): Target =>
  async (platform) => {
    const wanted = request();
    const { tookMs, answer } = await timed(url(platform), 202, wanted);
    const { id, operationId } = answer as { readonly id?: string; readonly operationId?: string };
    const started =
      id === undefined ? [`bare/${operationId ?? ''}`] : [id, `machine/${wanted.namespace}/${wanted.name}`];
    // The product's operation ends as failed, since nothing is touched.
    const ends = started.map((workflowId) => platform.client.workflow.getHandle(workflowId).result());
    await Promise.allSettled(ends);
    return tookMs;
  };

const targets = {
  get: {
    count: getsPerWindow,
    product: get(({ product }) => `${product}/v1/machines/bench/bench-1`),
    bare: get(({ bare }) => `${bare}/machine`),
    control: get(({ bare }) => `${bare}/control`),
  },
  post: {
    count: postsPerWindow,
    product: post(({ product }) => `${product}/v1/machines`),
    bare: post(({ bare }) => `${bare}/machine`),
    control: post(({ bare }) => `${bare}/control`),
  },
} as const satisfies Record<string, { count: number; product: Target; bare: Target; control: Target }>;

type Side = 'product' | 'bare' | 'control';
type Windows = Readonly<Record<Side, readonly (readonly number[])[]>>;

export async function measureApi(rounds: number): Promise<BenchReport> {
  const platform = await startApiPlatform();
  try {
    await startSame(platform);
    const get = await measure(platform, 'get', rounds);
    const posted = await measure(platform, 'post', rounds);
    const ratios = [compare('get-p99/bare', get, 2), compare('post-p99/bare-start', posted, 1.3)];
    return {
      bench: 'api',
      ratios: ratios.map(({ ratio }) => ratio),
      figures: {
        get: figures(get),
        post: figures(posted),
        controls: Object.fromEntries(ratios.map(({ ratio, control }) => [ratio.name, control])),
        auth: await measureAuth(platform, rounds),
      },
      conditions: {
        ...host(),
        windows: rounds,
        perWindow: { get: getsPerWindow, post: postsPerWindow },
        note: 'one request at a time, alternating windows; p99 over all windows of a side; authentication off in both; Temporal dev server in memory, one worker process for both sides; spread is p99 of the bare side’s odd windows over its even ones, or the other way round',
      },
    };
  } finally {
    await platform.stop();
  }
}

/** The machine that is read, and a bare workflow that answers the same. */
async function startSame(platform: ApiPlatform): Promise<void> {
  const first = request();
  await eventually('the worker takes its first request', async () => {
    // With a key its machine stays to be read, whatever became of it.
    await timed(`${platform.product}/v1/machines`, 202, first, { 'idempotency-key': 'bench' });
    return true;
  });
  const read = async (): Promise<Machine> =>
    (await timed(`${platform.product}/v1/machines/bench/bench-1`, 200)).answer as Machine;
  await eventually('its operation has ended', async () => (await read()).phase === 'Failed');
  const payload = await read();
  await platform.client.workflow.start<typeof bareAnswer>('bareAnswer', {
    ...{ workflowId: answerId, taskQueue: bareQueue, args: [payload] },
  });
}

/** Alternating windows; the first of each side does not count. */
async function measure(platform: ApiPlatform, verb: keyof typeof targets, rounds: number): Promise<Windows> {
  const windows: Record<Side, (readonly number[])[]> = { product: [], bare: [], control: [] };
  const { count, ...sides } = targets[verb];
  for (let round = 0; round <= rounds; round++) {
    for (const side of ['product', 'bare', 'control'] as const) {
      const took: number[] = [];
      for (let left = count; left > 0; left--) took.push(await sides[side](platform));
      if (round > 0) windows[side].push(took);
    }
    process.stderr.write(`${verb}: round ${round} of ${rounds}\n`);
  }
  return windows;
}

const p99 = (windows: readonly (readonly number[])[]): number => percentile(windows.flat(), 0.99);

function compare(name: string, windows: Windows, target: number): { ratio: Ratio; control: number } {
  const bare = p99(windows.bare);
  const control = p99(windows.control) / bare;
  if (control <= target) {
    throw new Error(`The control of ${name} makes four calls for one and is within the target: ${control.toFixed(2)}`);
  }
  return {
    ratio: { name, value: p99(windows.product) / bare, target, better: 'lower' },
    control: rounded(control),
  };
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

function figures(windows: Windows): unknown {
  const halves = [0, 1].map((half) => p99(windows.bare.filter((_, index) => index % 2 === half)));
  const [odd = Number.NaN, even = Number.NaN] = halves;
  const ofSide = (side: Side) => ({
    p50Ms: rounded(percentile(windows[side].flat(), 0.5)),
    p99Ms: rounded(p99(windows[side])),
  });
  return {
    product: ofSide('product'),
    bare: ofSide('bare'),
    control: ofSide('control'),
    spread: rounded(Math.max(odd / even, even / odd)),
  };
}
