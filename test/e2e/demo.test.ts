/** The README's first command, as a script would run it: in the sandbox that is up, with its summary as JSON. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { expect, test } from '@jest/globals';

import type { Summary } from '../../demo/summary.ts';

const execute = promisify(execFile);

test('npm run demo onboards three machines, loses no request, and prints its summary last', async () => {
  const { stdout } = await execute('npm', ['run', '--silent', 'demo', '--', '--exit', '--json'], {
    maxBuffer: 16 * 1024 * 1024,
  });
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Summary;
  expect(summary.machines.map(({ phase }) => phase)).toEqual(['InMesh', 'InMesh', 'InMesh']);
  expect(summary.machines.map(({ spiffeId }) => spiffeId)).toEqual([
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://cluster.local/ns/bank/sa/ledger',
  ]);
  expect(summary.machines.every(({ steps }) => steps.length > 5)).toBe(true);
  expect(summary.traffic.failed).toBe(0);
  expect(summary.traffic.sent).toBeGreaterThanOrEqual(1_000);
  expect(summary.traffic.directions.podToMachine.sent).toBeGreaterThan(0);
  expect(summary.traffic.directions.machineToPod.sent).toBeGreaterThan(0);
}, 600_000);
