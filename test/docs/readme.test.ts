/** The README's onboarding calls, run as a reader would paste them, against a Meshlift that runs on the sandbox. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type Platform, startPlatform } from '../support/platform.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
}, 120_000);
afterAll(async () => {
  await platform.stop();
});

test('the onboarding calls of the README onboard a machine and take it out again', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const [, script] = /<!-- run against the demo -->\s+```sh\n(.*?)\n```/s.exec(readme) ?? [];
  const { stdout } = await execute('bash', ['-euo', 'pipefail', '-c', script ?? 'exit 1'], {
    cwd: root,
    timeout: 240_000,
  });
  const ends = [...stdout.matchAll(/"verb":"(\w+)","target":\{[^}]*\},"phase":"(\w+)","steps"/g)].map(
    ([, verb, phase]) => `${verb ?? ''} ${phase ?? ''}`,
  );
  expect(ends).toEqual(['onboard Succeeded', 'offboard Succeeded']);
  expect((await platform.api.machine('shop', 'orders-3')).phase).toBe('Offboarded');
}, 300_000);

test('what a quickstart reader applies is what the worker needs of the cluster', async () => {
  const { stdout } = await execute('kubectl', ['apply', '--dry-run=server', '-f', join(root, 'docs', 'rbac.yaml')], {
    env: { ...process.env, ...platform.env.exports },
  });
  expect(stdout).toContain('clusterrole.rbac.authorization.k8s.io/meshlift-machines');
}, 60_000);
