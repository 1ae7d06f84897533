/** docker-compose.yml is checked against the Compose schema; nothing of it is run here. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const composeFile = join(root, 'docker-compose.yml');

let scratch: string;
let checker: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'meshlift-compose-'));
  checker = join(scratch, 'compose');
  await run('go', ['build', '-o', checker, '.'], {
    cwd: join(root, 'sandbox', 'modules', 'compose'),
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
  });
}, 300_000);
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

test('docker-compose.yml is valid and has Temporal, its database and UI, the API and the worker', async () => {
  const { stdout } = await run(checker, [composeFile]);
  for (const service of ['api', 'postgresql', 'temporal', 'temporal-ui', 'worker']) expect(stdout).toContain(service);
});

test('the check finds a key that Compose does not know', async () => {
  const broken = join(scratch, 'docker-compose.yml');
  const text = await readFile(composeFile, 'utf8');
  await writeFile(broken, text.replace(/^services:\n/m, 'services:\n  broken:\n    imgae: none\n'));
  await expect(run(checker, [broken])).rejects.toThrow(/imgae/);
});
