/** The README's commands: the demo as a script would run it, then the onboarding calls as a reader would paste them. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, expect, test } from '@jest/globals';

import { sandbox } from '../../demo/sandbox-client.ts';
import type { Summary } from '../../demo/summary.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');

/** The machine of the README under a name that only this run knows. */
const machine = `orders-${Date.now().toString(36).slice(-5)}`;
let platform: Platform | undefined;
afterAll(async () => {
  await platform?.stop();
  await sandbox('machine', 'remove', machine);
  await command('kubectl', '-n', 'shop', 'delete', '--ignore-not-found', 'deployment', 'orders');
}, 60_000);

test('npm run demo onboards three machines, moves two to pods, loses no request, and prints its summary last', async () => {
  const { stdout } = await execute('npm', ['run', '--silent', 'demo', '--', '--exit', '--json'], {
    maxBuffer: 16 * 1024 * 1024,
  });
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Summary;
  expect(summary.machines.map(({ phase }) => phase)).toEqual(['Migrated', 'Migrated', 'InMesh']);
  expect(summary.machines.map(({ spiffeId }) => spiffeId)).toEqual([
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://cluster.local/ns/bank/sa/ledger',
  ]);
  expect(summary.machines.every(({ steps }) => steps.length > 5)).toBe(true);
  expect(summary.traffic.failed).toBe(0);
  expect(summary.migrations).toMatchObject([{ name: 'orders-to-pods', phase: 'Succeeded', failed: 0 }]);
  expect(summary.migrations[0]?.weights).toEqual([0, 10, 50, 100]);
  expect(summary.migrations[0]?.sent).toBeGreaterThan(1_000);
  expect(summary.traffic.sent).toBeGreaterThanOrEqual(1_000);
  expect(summary.traffic.directions.podToMachine.sent).toBeGreaterThan(0);
  expect(summary.traffic.directions.machineToPod.sent).toBeGreaterThan(0);
  expect(summary.urls.temporalUi).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/namespaces\/meshlift\/workflows$/);
  // What the page shows is what the UI's server answers under its own path.
  const answered = summary.urls.temporalUi.replace('/namespaces/', '/api/v1/namespaces/');
  const listed = await fetch(`${answered}?query=${encodeURIComponent("WorkflowType='migrateWorkload'")}`);
  const { executions } = (await listed.json()) as { executions: { execution: { workflowId: string } }[] };
  expect(executions.map(({ execution }) => execution.workflowId)).toContain('migrate.shop.orders-to-pods');
}, 600_000);

test('the onboarding calls of the README onboard a machine and take it out again', async () => {
  platform = await startPlatform({ asEnvSays: true });
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, script] = /<!-- run against the demo -->\s+```sh\n(.*?)\n```/s.exec(readme) ?? [];
  const { stdout } = await execute(
    'bash',
    ['-euo', 'pipefail', '-c', script?.replaceAll('orders-3', machine) ?? 'exit 1'],
    {
      cwd: root,
      timeout: 240_000,
    },
  );
  const ends = [...stdout.matchAll(/"verb":"(\w+)","target":\{[^}]*\},"phase":"(\w+)","steps"/g)].map(
    ([, verb, phase]) => `${verb ?? ''} ${phase ?? ''}`,
  );
  expect(ends).toEqual(['onboard Succeeded', 'offboard Succeeded']);
  const { temporalUi } = platform.env;
  expect(stdout).toContain(`"workflowUrl":"${temporalUi}/namespaces/meshlift/workflows/onboard-shop-${machine}-`);
  expect((await platform.api.machine('shop', machine)).phase).toBe('Offboarded');
}, 300_000);
