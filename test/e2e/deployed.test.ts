/** What deploy/ holds against the worker's own account: every other end-to-end test runs as that account and needs no more. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { deployed } from '../support/deployed.ts';
import { command } from '../support/sandbox.ts';

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-deployed-'));
let kubeconfig: string;

beforeAll(async () => {
  ({ worker: kubeconfig } = await deployed(await sandboxEnv(), scratch));
}, 60_000);

afterAll(() => {
  rmSync(scratch, { recursive: true, force: true });
});

const asWorker = async (...args: string[]): Promise<string> =>
  await command('kubectl', '--kubeconfig', kubeconfig, ...args).catch((error: unknown) => String(error));

test('it is the account of the worker', async () => {
  expect(await asWorker('auth', 'whoami')).toContain('system:serviceaccount:meshlift-system:meshlift');
});

test.each([
  [['--audience', 'istio-ca', '--duration', '1h'], /^eyJ/],
  [['--audience', 'another', '--duration', '1h'], /audience istio-ca alone/],
  [['--audience', 'istio-ca', '--audience', 'another', '--duration', '1h'], /audience istio-ca alone/],
  [['--audience', 'istio-ca', '--duration', '2h'], /an hour at the most/],
])('of a token with %j it gets %s', async (options, answer) => {
  expect(await asWorker('-n', 'shop', 'create', 'token', 'default', ...options)).toMatch(answer);
});

test.each([
  ['a token in a namespace where it was not bound', ['-n', 'istio-system', 'create', 'token', 'default'], /forbidden/],
  ['Secrets of other namespaces', ['-n', 'istio-system', 'get', 'secrets'], /forbidden/],
  ['Secrets by list, where it may read them by name', ['-n', 'meshlift-system', 'get', 'secrets'], /forbidden/],
])('it gets no %s', async (_what, args, refusal) => {
  expect(await asWorker(...args)).toMatch(refusal);
});

test.each([
  ['Sidecar', 'networking.istio.io/v1', { egress: [{ hosts: ['./*'] }] }],
  ['PeerAuthentication', 'security.istio.io/v1', { mtls: { mode: 'PERMISSIVE' } }],
  ['AuthorizationPolicy', 'security.istio.io/v1', { action: 'AUDIT', rules: [{}] }],
])(
  'it neither changes nor deletes a %s that is not its own, and makes none',
  async (kind, apiVersion, spec) => {
    // No workload has this label: the object is for nobody.
    const metadata = { name: 'of-its-owner', namespace: 'shop' };
    const selector = { matchLabels: { app: 'nobody' } };
    const object = {
      ...{ apiVersion, kind, metadata },
      spec: { ...spec, ...(kind === 'Sidecar' ? { workloadSelector: { labels: { app: 'nobody' } } } : { selector }) },
    };
    await applyObjects([object]);
    try {
      const named = ['-n', 'shop', kind, metadata.name];
      const other = join(scratch, `${kind}.json`);
      writeFileSync(other, JSON.stringify({ ...object, metadata: { ...metadata, name: 'of-nobody' } }));
      const answers = await Promise.all([
        asWorker('delete', ...named),
        asWorker('patch', ...named, '--type=merge', '--patch', '{"metadata":{"labels":{"touched":"true"}}}'),
        asWorker('create', '-f', other),
      ]);
      for (const answer of answers) expect(answer).toContain('named meshlift-<machine> alone');
      expect(await command('kubectl', 'get', ...named, '-o', 'jsonpath={.metadata.labels}')).toBe('');
    } finally {
      await command('kubectl', '-n', 'shop', 'delete', kind, metadata.name);
    }
  },
  30_000,
);
