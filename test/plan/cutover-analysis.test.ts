/** The verdict over one window: pods against machines, and against the limits. */
import { describe, expect, test } from '@jest/globals';

import type { SideCounts } from '../../api/schemas/cutover.ts';
import type { Analysis } from '../../api/schemas/migration.ts';
import { countsBetween, judge, type Verdict } from '../../workflows/plan/cutover-analysis.ts';

const side = (requests: number, failed: number, meanMs?: number): SideCounts => ({
  requests,
  failed,
  ...(meanMs === undefined ? {} : { meanMs }),
});

describe('a step', () => {
  test.each<[string, Analysis, SideCounts, SideCounts, Verdict['kind'], RegExp]>([
    ['passes when pods serve as machines do', {}, side(900, 0, 10), side(100, 0, 11), 'Passed', /100\.00% of 100/],
    ['passes within the limits', {}, side(900, 9, 10), side(200, 2, 19), 'Passed', /99\.00% of 200/],
    ['fails below the absolute limit', {}, side(900, 0), side(100, 2), 'Failed', /2 of 100 requests to pods failed/],
    [
      'fails below the machines, where the limit alone would pass',
      { successRate: 0.9 },
      side(900, 0),
      side(100, 2),
      'Failed',
      /98\.00% of the requests to pods succeeded, and 100\.00% of those to machines/,
    ],
    [
      'passes where machines fail as often',
      { successRate: 0.9 },
      side(900, 18),
      side(100, 2),
      'Passed',
      /98\.00% of 100/,
    ],
    [
      'fails when pods are slower than allowed',
      {},
      side(900, 0, 10),
      side(100, 0, 21),
      'Failed',
      /21\.0 ms on average/,
    ],
    ['does not call a few milliseconds slow', {}, side(900, 0, 1), side(100, 0, 9), 'Passed', /100/],
    [
      'fails above an absolute latency',
      { maxLatencyMs: 50, maxLatencyRatio: 100 },
      side(900, 0, 49),
      side(100, 0, 51),
      'Failed',
      /50\.0 ms is allowed/,
    ],
    ['does not compare with a handful', {}, side(99, 0, 1), side(100, 1, 40), 'Passed', /99\.00% of 100/],
    ['does not judge by a handful', {}, side(900, 0), side(99, 99), 'Inconclusive', /99 of the 100 requests/],
    ['does not pass without traffic', {}, side(0, 0), side(0, 0), 'Inconclusive', /0 of the 100/],
    [
      'judges pods alone once no machine serves',
      {},
      side(0, 0),
      side(100, 0, 500),
      'Passed',
      /100\.00% of 100 requests to pods succeeded$/,
    ],
  ])('%s', (_, analysis, machines, pods, kind, message) => {
    const verdict = judge(analysis, { machines, pods });
    expect(verdict.kind).toBe(kind);
    expect(verdict.message).toMatch(message);
  });
});

describe('what was counted between two looks', () => {
  const at = (requests: number, failed = 0, totalMs?: number) => ({
    requests,
    failed,
    ...(totalMs === undefined ? {} : { totalMs }),
  });
  test.each([
    ['is the sum over proxies', { a: at(10, 1), b: at(5) }, { a: at(15, 3), b: at(6) }, side(6, 2)],
    ['begins at 0 for a proxy that is new', { a: at(10) }, { a: at(10), b: at(7, 1) }, side(7, 1)],
    ['begins at 0 for a proxy that has restarted', { a: at(1000, 9) }, { a: at(4, 1) }, side(4, 1)],
    ['leaves out a proxy that is gone', { a: at(10), b: at(10) }, { a: at(12) }, side(2, 0)],
    ['has a mean where proxies time answers', { a: at(10, 0, 100) }, { a: at(20, 0, 300) }, side(10, 0, 20)],
    ['has none where nothing came', { a: at(10, 0, 100) }, { a: at(10, 0, 100) }, side(0, 0)],
  ])('%s', (_, before, after, counts) => {
    expect(countsBetween(before, after)).toEqual(counts);
  });
});
