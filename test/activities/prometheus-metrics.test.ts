/** What a real Prometheus answers, as one number or as the reason that there is none. */
import { beforeAll, describe, expect, test } from '@jest/globals';

import { PrometheusMetrics } from '../../activities/adapters/prometheus-metrics.ts';
import { eventually } from '../../demo/eventually.ts';
import { freePort } from '../../demo/free-port.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';

let address: string;
let metrics: PrometheusMetrics;
const ask = async (promql: string, of = metrics): Promise<number | undefined> =>
  await of.query(promql, new AbortController().signal);

beforeAll(async () => {
  const { exports } = await sandboxEnv();
  address = exports['MESHLIFT_PROMETHEUS'] ?? '';
  metrics = new PrometheusMetrics(`${address}/`);
});

describe('a query', () => {
  test.each<[string, string, number | undefined]>([
    ['of one sample', 'sum(vector(2.5))', 2.5],
    ['of a scalar', 'scalar(vector(3))', 3],
    ['of something by nothing', 'vector(1) / vector(0)', Number.MAX_VALUE],
    ['of a negative by nothing', 'vector(-1) / vector(0)', -Number.MAX_VALUE],
    ['without a sample', 'never_counted', undefined],
    ['of nothing by nothing', 'vector(0) / vector(0)', undefined],
  ])('%s is a number or none', async (_, promql, value) => {
    expect(await ask(promql)).toBe(value);
  });

  test('counts the proxies of pods', async () => {
    const proxies = 'count(up{side="pods",namespace="shop"} == 1)';
    await eventually('the proxies of pods were scraped', async () => (await ask(proxies)) !== undefined);
    expect(await ask(proxies)).toBeGreaterThan(0);
  });

  test.each([
    ['that is no PromQL', 'sum(', /does not take "sum\(": .*parse error/],
    [
      'of several samples',
      'vector(1) or label_replace(vector(1), "a", "b", "", "")',
      /with 2 samples; let it be one number/,
    ],
    ['of more than is read', `{__name__=~"envoy_.+"}`, /with more than 100000 bytes/],
    ['of a range', 'up[1m]', /with a matrix/],
  ])('%s is refused for good', async (_, promql, message) => {
    await expect(ask(promql)).rejects.toMatchObject({
      ...{ type: 'QueryRefused', nonRetryable: true },
      message: expect.stringMatching(message) as unknown,
    });
  });
});

test('where nobody answers it is asked again', async () => {
  const away = new PrometheusMetrics(`http://127.0.0.1:${await freePort()}`);
  await expect(ask('up', away)).rejects.toMatchObject({ type: 'MetricsUnavailable', nonRetryable: false });
});

test('where something else answers it says what', async () => {
  const other = new PrometheusMetrics(`${address}/nothing-here`);
  await expect(ask('up', other)).rejects.toMatchObject({
    ...{ type: 'MetricsUnavailable' },
    message: expect.stringMatching(/answers 404/) as unknown,
  });
});

test('where there is none it says what to set', async () => {
  await expect(ask('up', new PrometheusMetrics(undefined))).rejects.toMatchObject({
    ...{ type: 'MetricsUnset', nonRetryable: true },
    message: expect.stringMatching(/set MESHLIFT_PROMETHEUS for the worker/) as unknown,
  });
});
