/** Queries of a migration's analysis: as the store is asked them, and what their answers say. */
import { describe, expect, test } from '@jest/globals';

import type { CreateMigration, MetricQuery } from '../../api/schemas/migration.ts';
import { askedQueries, faultOf, judgeQueries } from '../../workflows/plan/metric-queries.ts';

const request: CreateMigration = {
  ...{ name: 'away', namespace: 'shop', workloadGroup: 'orders-vms', service: 'orders' },
  ...{ target: { deployment: 'orders' }, steps: [{ weight: 100 }] },
};
const query = (more: Partial<MetricQuery> = {}): MetricQuery => ({ name: 'errors', query: 'up', ...more });

describe('a query', () => {
  const text = 'rate(x{ns="{{namespace}}",svc="{{ service }}",w="{{deployment}}"}[{{window}}]) > {{other}}';
  const machinesQuery = 'y{w="{{workloadGroup}}"}';

  test.each<[string, Partial<MetricQuery>, number, object]>([
    ['of pods alone', {}, 61.4, { pods: 'rate(x{ns="shop",svc="orders",w="orders"}[61s]) > {{other}}' }],
    [
      'of both, over a moment',
      { machinesQuery },
      0.2,
      { pods: 'rate(x{ns="shop",svc="orders",w="orders"}[1s]) > {{other}}', machines: 'y{w="orders-vms"}' },
    ],
  ])('%s is filled in', (_, more, seconds, asked) => {
    const analysis = { queries: [query({ query: text, ...more })] };
    expect(askedQueries({ ...request, analysis }, seconds)).toEqual([asked]);
  });

  test('is none where none is asked', () => {
    expect(askedQueries(request, 60)).toEqual([]);
  });

  test.each<[string, Partial<MetricQuery>, RegExp]>([
    ['has a limit', { atMost: 1 }, /^none$/],
    ['compares', { maxRatio: 2, machinesQuery }, /^none$/],
    [
      'holds a name that stands for nothing',
      { query: text, atMost: 1 },
      /^query errors holds \{\{other\}\}: there are /,
    ],
    ['holds one in that of machines', { maxRatio: 2, machinesQuery: '{{it}}' }, /holds \{\{it\}\}/],
    ['has no limit', {}, /has no limit/],
    ['compares with nothing', { maxRatio: 2 }, /needs maxRatio and machinesQuery together/],
    ['asks of machines for nothing', { atMost: 1, machinesQuery }, /needs maxRatio and machinesQuery together/],
  ])('that %s', (_, more, fault) => {
    expect(faultOf(query(more)) ?? 'none').toMatch(fault);
  });
});

describe('the answers', () => {
  test.each<[string, Partial<MetricQuery>, number | null, number | null, string, RegExp]>([
    ['below the least fail', { atLeast: 0.99 }, 0.98, null, 'Failed', /errors of pods is 0\.98, 0\.99 is the least/],
    ['at the least pass', { atLeast: 0.99 }, 0.99, null, 'Passed', /is 0\.99$/],
    ['above the most fail', { atMost: 250 }, 250.5, null, 'Failed', /is 250\.5, 250 is the most/],
    ['too far above those of machines fail', { maxRatio: 1.5 }, 16, 10, 'Failed', /of machines 10: 1\.5 times/],
    ['near those of machines pass', { maxRatio: 1.5 }, 15, 10, 'Passed', /is 15$/],
    ['beside machines that serve nothing pass', { maxRatio: 1.5 }, 15, null, 'Passed', /is 15$/],
    ['beside machines at zero pass', { maxRatio: 1.5 }, 15, 0, 'Passed', /is 15$/],
    ['that are missing decide nothing', { atMost: 1 }, null, 1, 'Inconclusive', /no sample of pods/],
  ])('%s', (_, limits, pods, machines, kind, message) => {
    const verdict = judgeQueries([query(limits)], [{ pods, machines }]);
    expect(verdict).toEqual({ kind, message: expect.stringMatching(message) as unknown });
  });

  test('of several: one failure is enough, and a missing one keeps the others waiting', () => {
    const queries = [query({ name: 'a', atMost: 1 }), query({ name: 'b', atMost: 1 })];
    const values = (a: number | null, b: number | null) => [a, b].map((pods) => ({ pods, machines: null }));
    expect(judgeQueries(queries, values(null, 2)).kind).toBe('Failed');
    expect(judgeQueries(queries, values(null, 1)).kind).toBe('Inconclusive');
    expect(judgeQueries(queries, values(0, 1)).kind).toBe('Passed');
  });
});
