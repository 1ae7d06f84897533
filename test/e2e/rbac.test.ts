/** The worker with the rights of docs/rbac.yaml and no others: the service account's own token, bound in one namespace. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { onboardRequest, sandboxEnv } from '../../demo/sandbox-client.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';

const rbac = join(import.meta.dirname, '..', '..', 'docs', 'rbac.yaml');
const scratch = mkdtempSync(join(tmpdir(), 'meshlift-rbac-'));
const kubeconfig = join(scratch, 'kubeconfig');
let platform: Platform;

beforeAll(async () => {
  await grantAccount();
  platform = await startPlatform({ worker: { KUBECONFIG: kubeconfig } });
}, 120_000);

afterAll(async () => {
  await platform.stop();
  await command('kubectl', '-n', 'shop', 'delete', 'rolebinding', 'meshlift-machines');
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

/** Grants what the quickstart grants, then puts the account's token in place of the sandbox's own credentials. */
async function grantAccount(): Promise<void> {
  await command('kubectl', 'apply', '-f', rbac);
  const account = '--serviceaccount=meshlift-system:meshlift';
  const role = '--clusterrole=meshlift-machines';
  await command('kubectl', '-n', 'shop', 'create', 'rolebinding', 'meshlift-machines', role, account);
  const token = await command('kubectl', '-n', 'meshlift-system', 'create', 'token', 'meshlift');
  writeFileSync(kubeconfig, readFileSync((await sandboxEnv()).kubeconfig), { mode: 0o600 });
  const config = ['config', '--kubeconfig', kubeconfig];
  await command('kubectl', ...config, 'set-credentials', 'meshlift', `--token=${token.trim()}`);
  await command('kubectl', ...config, 'set-context', '--current', '--user=meshlift');
}

test('docs/rbac.yaml is enough to onboard a machine and to offboard it', async () => {
  const who = await command('kubectl', '--kubeconfig', kubeconfig, 'auth', 'whoami');
  expect(who).toContain('system:serviceaccount:meshlift-system:meshlift');

  const { api, env } = platform;
  const machine = await platform.machine('rbac-1', 'shop');
  const onboarded = await api.finished((await api.onboard(onboardRequest(env, machine, machine.name))).id);
  expect(onboarded).toMatchObject({ phase: 'Succeeded' });
  const offboarded = await api.finished((await api.offboard('shop', machine.name)).id);
  expect(offboarded).toMatchObject({ phase: 'Succeeded' });
}, 240_000);
