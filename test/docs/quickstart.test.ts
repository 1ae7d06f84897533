/** The quickstart's own commands, in their order, with the sandbox in the place of the reader's cluster and machine. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ulid } from 'ulid';

import type { Problem } from '../../api/schemas/common.ts';
import type { Plan } from '../../api/schemas/machine.ts';
import { Api } from '../../demo/api-client.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandbox, type SandboxEnv, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { freePort } from '../../demo/free-port.ts';
import { command, freshMachine, onMachine } from '../support/sandbox.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');
const scratch = mkdtempSync(join(tmpdir(), 'meshlift-quickstart-'));
const namespace = `quickstart-${ulid().toLowerCase()}`;

let env: SandboxEnv;
let machine: SandboxMachine;
let url: string;
let fingerprint: string;
let meshlift: ChildProcess | undefined;

beforeAll(async () => {
  [env, machine] = await Promise.all([sandboxEnv(), freshMachine('quick', 'shop')]);
  url = `127.0.0.1:${await freePort()}`;
  fingerprint = (await onMachine(machine, 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub')).split(' ')[1] ?? '';
}, 60_000);

afterAll(async () => {
  if (meshlift?.pid !== undefined && meshlift.exitCode === null) {
    const ended = once(meshlift, 'exit');
    process.kill(-meshlift.pid, 'SIGTERM');
    await ended;
  }
  await command('kubectl', 'delete', '--ignore-not-found', 'hostpolicy', 'shop-fleet');
  await command('kubectl', '-n', 'meshlift-system', 'delete', '--ignore-not-found', 'secret', 'fleet');
  await sandbox('machine', 'remove', machine.name);
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

/** The blocks of shell under a heading, as this reader types them. */
function blocks(heading: string): string[] {
  const text = readFileSync(join(root, 'docs', 'quickstart.md'), 'utf8');
  const section = text.split('\n## ').find((part) => part.startsWith(heading)) ?? '';
  return [...section.matchAll(/```sh\n(.*?)\n```/gs)].map(([, block = '']) =>
    block
      .replaceAll('--identity $HOME/.ssh/meshlift', `--identity ${env.sshKey} --known-hosts ${env.knownHosts}`)
      .replaceAll('$HOME/.ssh/meshlift', env.sshKey)
      .replaceAll('$HOME/.kube/config', env.kubeconfig)
      .replaceAll('/srv/istio-packages', env.packages)
      .replaceAll('127.0.0.1:7233', env.temporalAddress)
      .replaceAll('127.0.0.1:8080', url)
      .replaceAll('192.0.2.0/24', '10.245.0.0/24')
      .replaceAll('192.0.2.10', machine.address)
      .replaceAll('SHA256:...', fingerprint)
      .replaceAll('orders-1', machine.name)
      .replaceAll('> ' + `${machine.name}.json`, `> ${scratch}/${machine.name}.json`)
      .replaceAll('@' + `${machine.name}.json`, `@${scratch}/${machine.name}.json`),
  );
}

const variables = () => ({ ...process.env, ...env.exports, TEMPORAL_NAMESPACE: namespace, MESHLIFT_LISTEN: url });

async function run(script: string): Promise<string> {
  const { stdout } = await execute('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: root,
    env: variables(),
    timeout: 120_000,
  });
  return stdout;
}

test('the cluster is prepared, and again without harm', async () => {
  // The tests of this run share the binding of the namespace.
  const [accounts = '', policy = ''] = blocks('Prepare the cluster');
  const idempotent = accounts.replaceAll(
    /^(kubectl create (rolebinding|secret) .*)$/gm,
    '$1 --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -',
  );
  for (let times = 0; times < 2; times++) {
    await run(idempotent);
    await eventually('the API server takes HostPolicies', async () => {
      await run(policy);
      return true;
    });
  }
  expect(await command('kubectl', 'get', 'hostpolicy', 'shop-fleet', '-o', 'name')).toContain('shop-fleet');
}, 120_000);

test('worker and API start, the plan has no fault, the machine joins and leaves', async () => {
  const api = new Api(`http://${url}`);
  const [start = ''] = blocks('Start Meshlift');
  // What npm installed for these tests is what the first line would install.
  const script = `${start.replace('npm ci --ignore-scripts', '')}\nwait`;
  meshlift = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: root,
    env: variables(),
    detached: true,
    stdio: 'ignore',
  });
  await eventually('the API is ready', async () => (await api.call('GET', '/readyz')).status === 200, 90_000);

  const [ask = '', check = ''] = blocks('Look before you leap');
  // The worker may come up after the API; until then the answer says to repeat.
  let plan: Plan | undefined;
  await eventually(
    'the plan is answered',
    async () => {
      const answer = JSON.parse(await run(ask)) as Plan | Problem;
      if (!('files' in answer)) return false;
      plan = answer;
      return true;
    },
    90_000,
  );
  const faults = plan?.conditions.filter(({ category, status }) => category === 'Critical' && status !== 'True');
  expect(faults).toEqual([]);
  expect(await run(check)).toContain(machine.name);

  const [onboard = '', after = ''] = blocks('Onboard, look, offboard');
  const { id } = JSON.parse(await run(onboard)) as { readonly id: string };
  expect(await api.finished(id)).toMatchObject({ verb: 'onboard', phase: 'Succeeded' });
  const looked = await run(after);
  expect(looked).toContain('"phase":"InMesh"');
  const [, offboard = ''] = /"id":"(offboard-[^"]+)"/.exec(looked) ?? [];
  expect(await api.finished(offboard)).toMatchObject({ phase: 'Succeeded' });
}, 300_000);
