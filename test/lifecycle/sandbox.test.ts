/** The sandbox itself: it comes up after a crash, has one holder, and leaves nothing but its cache. Runs while none is up. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { eventually } from '../../demo/eventually.ts';
import { addMachine, powerOff, powerOn, sandbox } from '../../demo/sandbox-client.ts';
import { RUN } from '../../sandbox/layout.ts';
import { nodeToolsEnvironment, nodeToolsFolder } from '../../sandbox/parts/debian.ts';
import { readState } from '../../sandbox/state.ts';
import { canConnect } from '../../sandbox/tcp.ts';
import { difference } from '../support/as-found.ts';
import { onMachine } from '../support/sandbox.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..', '..');

/** What the sandbox could leave on the host: mounts, links, rules, namespaces, cgroups, settings, processes (not those that wait for their parent), folders. */
const listing = `
cut -d ' ' -f 5 /proc/self/mountinfo | sort
ip -o link | awk -F ': ' '{ print "link", $2 }' | sort
ip netns list
iptables-save | grep -E '^(-A|:)' | grep -vE '^:[A-Z]+ ACCEPT' | sed 's/ \\[.*//'
ip6tables-save | grep -E '^(-A|:)' | grep -vE '^:[A-Z]+ ACCEPT' | sed 's/ \\[.*//'
find /sys/fs/cgroup -type d
sysctl -a 2>/dev/null | grep -E 'ip_forward |bridge-nf-call|rp_filter|vm.overcommit|kernel.panic'
ls -d /run/* /var/lib/* /var/log/* /etc/cni /opt/cni /usr/libexec/* 2>/dev/null
ps -eo stat,comm | awk '$1 !~ /^Z/ { print $2 }' | grep -E '^(etcd|kube|containerd|runc|coredns|temporal|systemd-nspawn|envoy|pilot)' | sort
`;

async function hostFacts(): Promise<string[]> {
  const env = { ...process.env, ...nodeToolsEnvironment(await nodeToolsFolder()) };
  const { stdout } = await execute('sh', ['-c', listing], { env, maxBuffer: 64 * 1024 * 1024 });
  return stdout.split('\n');
}

let before: string[];

beforeAll(async () => {
  before = await hostFacts();
}, 60_000);

afterAll(async () => {
  await sandbox('down');
}, 120_000);

test('up that is killed midway is cleaned up by the next up, which comes to its end', async () => {
  const first = spawn(process.execPath, [join(root, 'sandbox', 'main.ts'), 'up'], { cwd: root, stdio: 'ignore' });
  await eventually('the killed up has started processes', () =>
    (readState()?.items ?? []).some((item) => item.kind === 'process' && item.name === 'kubelet'),
  );
  const gone = once(first, 'exit');
  first.kill('SIGKILL');
  await gone;
  await expect(sandbox('status')).rejects.toThrow();
  await sandbox('up');
  expect(await sandbox('status')).toContain('ready 2');
}, 300_000);

test('another checkout is refused, with the folder of the one that holds the sandbox', async () => {
  const other = mkdtempSync(join(tmpdir(), 'meshlift-other-checkout-'));
  try {
    for (const part of ['sandbox', 'build', 'package.json'])
      cpSync(join(root, part), join(other, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(other, 'node_modules'));
    const refused = execute(process.execPath, [join(other, 'sandbox', 'main.ts'), 'up'], { cwd: other });
    await expect(refused).rejects.toThrow(root);
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
}, 60_000);

test('a machine answers again after its reboot', async () => {
  await sandbox('machine', 'add', 'lifecycle-1');
  await sandbox('machine', 'reboot', 'lifecycle-1');
  const address = readState()?.machines.find(({ name }) => name === 'lifecycle-1')?.address ?? '';
  expect(await (await fetch(`http://${address}:8080/healthz`)).json()).toEqual({ status: 'ok' });
}, 120_000);

test('a machine that lost its power is back with its disk, address and host key when it has power again', async () => {
  const machine = await addMachine('lifecycle-2', 'shop', 'direct', ['http', 'greeting']);
  await onMachine(machine, 'echo still here >/var/lib/kept && sync');
  await powerOff(machine);
  expect(await sandbox('status')).toMatch(/machine lifecycle-2 .* off /);
  await expect(fetch(`http://${machine.address}:8080/healthz`)).rejects.toThrow();
  await powerOn(machine);
  await powerOn(machine);
  expect(await sandbox('status')).toMatch(/machine lifecycle-2 .* on /);
  await eventually('its workload serves again', async () => (await fetch(`http://${machine.address}:8080/healthz`)).ok);
  // ssh refuses a host whose key is not the one of before.
  expect(await onMachine(machine, 'cat /var/lib/kept')).toBe('still here\n');
}, 120_000);

test('an inner machine answers SSH through the jump host alone', async () => {
  const machine = await addMachine('lifecycle-3', 'shop', 'inner');
  expect(await canConnect(machine.address, 22)).toBe(false);
  expect(await canConnect(machine.address, 8080)).toBe(true);
  expect(await onMachine(machine, 'hostname')).toBe('lifecycle-3\n');
}, 120_000);

test('down after a crash, with a machine running, leaves nothing on the host', async () => {
  const etcd = readState()?.items.find((item) => item.kind === 'process' && item.name === 'etcd');
  if (etcd?.kind !== 'process') throw new Error('The state names no etcd');
  process.kill(etcd.pid, 'SIGKILL');
  await eventually(
    'etcd is gone',
    () => !existsSync(`/proc/${etcd.pid}`) || readFileSync(`/proc/${etcd.pid}/stat`, 'utf8').includes(') Z '),
  );
  await sandbox('down');
  expect(existsSync(RUN)).toBe(false);
  expect(difference(before, await hostFacts())).toEqual([]);
}, 120_000);
