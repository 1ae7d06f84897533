/**
 * `meshlift check` as an operator runs it on a laptop: with a kubeconfig and an SSH key, and no Temporal anywhere. The kubeconfig is of
 * an account that may read everything and write nothing, so that the API server would refuse a write.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Condition } from '../../api/schemas/common.ts';
import type { Plan } from '../../api/schemas/machine.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandbox, type SandboxEnv, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { kubeconfigOf } from '../support/deployed.ts';
import { command, freshMachine, onMachine } from '../support/sandbox.ts';

const root = join(import.meta.dirname, '..', '..');
const scratch = mkdtempSync(join(tmpdir(), 'meshlift-check-test-'));
const knownHosts = join(scratch, 'known_hosts');
/** Of this run alone, as other runs may go on. */
const reader = `check-reader-${Date.now().toString(36)}`;
let env: SandboxEnv;
let kubeconfig: string;
let good: SandboxMachine;
let faulty: SandboxMachine;
let inner: SandboxMachine;
/** Neither an answer nor a refusal comes from there. */
const silentPort = 2222;
/** Begins with the file, as it waits for nothing but time. */
let silence: Promise<Answer & { readonly seconds: number }>;

beforeAll(async () => {
  [good, faulty, inner] = await Promise.all([
    freshMachine('check-good', 'shop'),
    freshMachine('check-faulty', 'shop', 'direct', ['http', 'greeting']),
    freshMachine('check-inner', 'shop', 'inner'),
  ]);
  env = await sandboxEnv();
  const apply = ['apply', '--server-side', '--force-conflicts', '-f'];
  await command('kubectl', ...apply, join(root, 'deploy', 'crds', 'hostpolicy.yaml'));
  await command('kubectl', 'wait', '--for=condition=Established', 'crd/hostpolicies.meshlift.dev', '--timeout=30s');
  await command('kubectl', ...apply, join(root, 'test', 'support', 'host-policy.yaml'));
  await applyObjects(readOnly);
  kubeconfig = await kubeconfigOf(env, reader, scratch, 'shop');
  const jump = inner.jump ? `${inner.jump.address} ${inner.jump.hostKey}\n` : '';
  writeFileSync(knownHosts, `${readFileSync(env.knownHosts, 'utf8')}\n${jump}`);
  await onMachine(faulty, `iptables -I INPUT -p tcp --dport ${silentPort} -j DROP`);
  silence = askSilent();
  silence.catch(() => undefined);
}, 180_000);

afterAll(async () => {
  await Promise.all([good, faulty, inner].map(async ({ name }) => await sandbox('machine', 'remove', name)));
  await command('kubectl', '-n', 'shop', 'delete', 'serviceaccount', reader);
  await command('kubectl', 'delete', 'clusterrole,clusterrolebinding', reader);
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: reader } };
const readOnly = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: reader, namespace: 'shop' } },
  {
    ...rbac,
    kind: 'ClusterRole',
    rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list', 'watch'] }],
  },
  {
    ...rbac,
    kind: 'ClusterRoleBinding',
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: reader },
    subjects: [{ kind: 'ServiceAccount', name: reader, namespace: 'shop' }],
  },
];

interface Answer {
  readonly status: number | null;
  readonly text: string;
  readonly errors: string;
}

/** Temporal's address is one where nobody answers. */
async function check(...args: string[]): Promise<Answer> {
  const child = spawn(process.execPath, ['meshlift.ts', 'check', ...args], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      HOME: scratch,
      KUBECONFIG: kubeconfig,
      MESHLIFT_PACKAGES: env.packages,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
    },
  });
  let [text, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, text, errors };
}

const login = (): string[] => ['--identity', env.sshKey, '--known-hosts', knownHosts];
const checkMachine = async (machine: SandboxMachine, ...more: string[]): Promise<Answer> =>
  await check(
    ...['--host', `ops@${machine.address}`, '--namespace', 'shop', '--group', machine.name],
    ...['--label', `app=${machine.name}`, '--port', 'http=8080', ...login(), ...more],
  );

async function askSilent(): Promise<Answer & { readonly seconds: number }> {
  const asked = Date.now();
  const host = `ops@${faulty.address}:${silentPort}`;
  const answer = await check(...['--host', host, '--namespace', 'shop', '--group', 'orders', ...login()]);
  return { ...answer, seconds: (Date.now() - asked) / 1_000 };
}

/** Everything of the namespace that an onboarding writes, with the version of each; other tests' machines left out. */
async function objectsOf(...machines: readonly SandboxMachine[]): Promise<string[]> {
  const kinds = 'workloadgroups,workloadentries,sidecars,peerauthentications,authorizationpolicies,serviceaccounts';
  const listed = await command('kubectl', '-n', 'shop', 'get', kinds, '--no-headers', '-o', 'name');
  return listed.split('\n').filter((name) => machines.some((machine) => name.includes(machine.name)));
}

const found = (plan: Plan, ...types: readonly string[]): Condition[] =>
  plan.conditions.filter(({ type }) => types.includes(type));

test('the account that it runs as may write nothing', async () => {
  const may = async (...what: string[]): Promise<string> =>
    await command('kubectl', '--kubeconfig', kubeconfig, 'auth', 'can-i', '-n', 'shop', ...what).catch(
      // kubectl ends with 1 where the answer is no.
      (error: unknown) => (error as { readonly stdout: string }).stdout,
    );
  expect(await command('kubectl', '--kubeconfig', kubeconfig, 'auth', 'whoami')).toContain(reader);
  expect(await may('list', 'workloadgroups')).toMatch(/^yes/);
  for (const verb of ['create', 'update', 'patch', 'delete']) expect(await may(verb, '*.*')).toMatch(/^no/);
  expect(await may('create', 'serviceaccounts/token')).toMatch(/^no/);
}, 30_000);

test('a machine that can join: a report, the files and objects to be written, and nothing touched', async () => {
  const asFound = await snapshot(good);
  const report = await checkMachine(good);
  expect(report).toMatchObject({ status: 0, errors: '' });
  expect(report.text).toMatch(/^ok +GatewayReachable +check-good/m);
  expect(report.text).toContain(`applyClusterObjects: create WorkloadGroup shop/${good.name}`);
  expect(report.text).toContain(`shop/${good.name} can join. Nothing was changed.`);

  const json = await checkMachine(good, '--json');
  const plan = JSON.parse(json.text) as Plan;
  expect(plan.conditions.filter(({ status }) => status !== 'True')).toEqual([]);
  expect(plan.files.map(({ path }) => path)).toContain('/var/lib/istio/envoy/cluster.env');
  expect(plan.objects.map(({ kind }) => kind)).toContain('Sidecar');

  expect(difference(asFound, await snapshot(good))).toEqual([]);
  expect(await objectsOf(good)).toEqual([]);
}, 120_000);

test('a machine with many faults: all of them at once, each with its cure', async () => {
  await onMachine(
    faulty,
    `sed -i '/127.0.1.1/d' /etc/hosts
    systemd-run --quiet --unit squatter python3 -c 'import socket,time; s=socket.create_server(("",15090)); time.sleep(600)'
    iptables-nft -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8080
    ip link add docker0 type bridge
    mkdir -p /etc/istio/config; echo 'defaultConfig: {}' >/etc/istio/config/mesh`,
  );
  await eventually('the port of the proxy is taken', async () =>
    (await onMachine(faulty, 'ss -ltn')).includes(':15090'),
  );
  const asFound = await snapshot(faulty);
  const { status, text } = await checkMachine(faulty, '--name', 'another', '--json');
  expect(status).toBe(1);
  const plan = JSON.parse(text) as Plan;
  const stops = plan.conditions.filter((each) => each.category === 'Critical' && each.status !== 'True');
  expect(stops.map(({ type }) => type).sort()).toEqual([
    'HostnameMatches',
    'HostnameResolves',
    'NoForeignIstio',
    'PortsFree',
  ]);
  expect(found(plan, 'PortsFree')[0]?.message).toContain('15090 (python3');
  expect(found(plan, 'NoForeignIstio')[0]?.message).toContain('/etc/istio/config/mesh');
  expect(found(plan, 'HostnameResolves')[0]?.message).toContain('127.0.1.1');
  expect(found(plan, 'NoOtherRedirects', 'NoContainerNetworks')).toEqual([
    expect.objectContaining({ status: 'False', category: 'Warning', message: expect.stringContaining('--dport 81') }),
    expect.objectContaining({ status: 'False', category: 'Warning', message: expect.stringContaining('docker0') }),
  ]);
  expect(found(plan, 'ServerFirstPorts')).toEqual([expect.objectContaining({ category: 'Advisory' })]);
  expect(difference(asFound, await snapshot(faulty))).toEqual([]);
  expect(await objectsOf(faulty)).toEqual([]);
}, 120_000);

test('a machine behind a jump host, over it', async () => {
  const jump = inner.jump ? `${inner.jump.user}@${inner.jump.address}` : '';
  const { status, text } = await checkMachine(inner, '--jump', jump);
  expect(text).toMatch(new RegExp(`^ok +Reachable .*, over ${jump}$`, 'm'));
  expect(text).toContain('can join');
  expect(status).toBe(0);
}, 60_000);

test('a key that is not known, and a host that nobody answers at, are findings with a cure', async () => {
  const empty = join(scratch, 'empty');
  writeFileSync(empty, '\n');
  const [unknownKey, nobody] = await Promise.all([
    checkMachine(good, '--known-hosts', empty),
    check(...['--host', 'ops@127.0.0.1:1', '--name', 'nobody', '--namespace', 'shop', '--group', 'orders', ...login()]),
  ]);
  expect(unknownKey.status).toBe(1);
  expect(unknownKey.text).toMatch(/^STOP +HostKeyTrusted .*\n.*no known_hosts/m);
  expect(nobody.status).toBe(1);
  expect(nobody.text).toMatch(/^STOP +Reachable +ops@127\.0\.0\.1:1 cannot be reached/m);
}, 60_000);

test('a host that swallows everything is named in less than two minutes', async () => {
  const { status, text, seconds } = await silence;
  expect(seconds).toBeLessThan(120);
  expect(status).toBe(1);
  expect(text).toMatch(new RegExp(`^STOP +Reachable +ops@${faulty.address}:${silentPort} cannot be reached`, 'm'));
}, 150_000);

test('a wrong call names every fault and exits with 2', async () => {
  const [nothing, wrong] = await Promise.all([
    check(),
    check('--host', 'nobody', '--namespace', 'Shop', '--group', 'orders', '--identity', '/nowhere'),
  ]);
  expect(nothing).toMatchObject({ status: 2, text: '' });
  for (const option of ['--host', '--namespace', '--group']) expect(nothing.errors).toContain(`${option} is missing`);
  expect(wrong.status).toBe(2);
  for (const fault of ['--host', '--namespace', '--identity /nowhere does not exist']) {
    expect(wrong.errors).toContain(fault);
  }
}, 30_000);
