/** Isolation that is real: who is refused, who is served, and what stays closed while the proxy is down. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Plan } from '../../api/schemas/machine.ts';
import type { EnforceMachine } from '../../api/schemas/verbs.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { type LoadReport, type RunningLoad, startLoad } from '../../demo/load.ts';
import { onboardRequest, podAddress, sandbox, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { ask } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, kubectl, onMachine } from '../support/sandbox.ts';

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-isolation-'));
/** The last characters of the machines' names: objects of an earlier run are nobody's business. */
let run: string;
let platform: Platform;
/** Two of one Service in shop, one of bank, and one that never joins. */
let first: SandboxMachine;
let second: SandboxMachine;
let vault: SandboxMachine;
let outside: SandboxMachine;
let frontend: string;
let teller: { readonly pod: string; readonly clusterIp: string };
let asFound: string[];

interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly hostname?: string;
  readonly error?: string;
}

beforeAll(async () => {
  platform = await startPlatform();
  const apps = ['http', 'grpc', 'tcp', 'greeting'] as const;
  first = await platform.machine('iso-1', 'shop', 'direct', apps);
  second = await platform.machine('iso-2', 'shop', 'direct', apps);
  vault = await platform.machine('iso-vault', 'bank', 'direct', apps);
  outside = await platform.machine('iso-out', 'shop', 'direct', apps);
  run = first.name.slice('iso-1-'.length);
  const service = await kubectl<{ spec: { clusterIP: string } }>('-n', 'bank', 'get', 'service', 'teller');
  teller = { pod: await podAddress('bank', 'app=teller'), clusterIp: service.spec.clusterIP };
  frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  asFound = await snapshot(second);
  await apply('services', [serviceOf('shop'), serviceOf('bank')]);
}, 300_000);

afterAll(async () => {
  await platform.stop();
  for (const name of ['services', 'outside', 'opened', 'bank'])
    await command('kubectl', 'delete', '--ignore-not-found', '-f', join(scratch, `${name}.json`)).catch(
      () => undefined,
    );
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

const group = (): string => `iso-${run}`;
const named = (namespace: string): string => `http://${group()}.${namespace}.svc.cluster.local/`;
const catalog = 'http://catalog.shop.svc.cluster.local/';

async function apply(name: string, items: readonly object[]): Promise<void> {
  const file = join(scratch, `${name}.json`);
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await command('kubectl', 'apply', '-f', file);
}

function serviceOf(namespace: string): object {
  const ports = [
    { name: 'http', port: 80, targetPort: 8080 },
    { name: 'grpc', port: 9090 },
    { name: 'tcp', port: 7070 },
    { name: 'tcp-greeting', port: 2525 },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: group(), namespace },
    spec: { selector: { app: group() }, ports },
  };
}

/** One request from where a pod's app stands. */
async function fromPod(app: string, url: string): Promise<Answer> {
  return (await (await fetch(`${app}/call?url=${encodeURIComponent(url)}`)).json()) as Answer;
}

/**
 * One request each from where a machine's app stands, all at once; it is asked over SSH and loopback, so that nothing of the mesh is
 * in the way.
 */
async function allFrom(machine: SandboxMachine, urls: readonly string[]): Promise<Answer[]> {
  const calls = urls.map(
    (url, at) => `curl -s -m 15 'http://127.0.0.1:8080/call?url=${encodeURIComponent(url)}' >$told/${at} &`,
  );
  const told = urls.map((_, at) => `tr -d '\\n' <$told/${at}; echo`);
  const script = ['told=$(mktemp -d)', ...calls, 'wait', ...told, 'rm -r $told'].join('\n');
  const lines = (await onMachine(machine, script)).split('\n').slice(0, urls.length);
  return lines.map((line) => (line === '' ? { error: 'no answer' } : (JSON.parse(line) as Answer)));
}

async function from(machine: SandboxMachine, url: string): Promise<Answer> {
  const [answer = {}] = await allFrom(machine, [url]);
  return answer;
}

const isServed = ({ status, hostname }: Answer): boolean => status === 200 || hostname !== undefined;

/** Of these URLs those that are answered, from a machine or from a pod. */
async function served(caller: SandboxMachine | string, urls: readonly string[]): Promise<string[]> {
  const answers =
    typeof caller === 'string'
      ? await Promise.all(urls.map((url) => fromPod(caller, url)))
      : await allFrom(caller, urls);
  return urls.filter((_, at) => isServed(answers[at] ?? {}));
}

/** A load that leaves from a machine, driven over SSH. */
async function loadOn(machine: SandboxMachine, target: string, rate: number): Promise<RunningLoad> {
  const curl = async <T>(path: string): Promise<T> =>
    JSON.parse(await onMachine(machine, `curl -s -m 15 -X POST 'http://127.0.0.1:8080${path}'`)) as T;
  const { id } = await curl<{ id: string }>(`/load?url=${encodeURIComponent(target)}&rate=${rate}`);
  return {
    report: async () =>
      JSON.parse(await onMachine(machine, `curl -s -m 15 'http://127.0.0.1:8080/load/${id}'`)) as LoadReport,
    stop: async () => await curl(`/load/${id}/stop`),
  };
}

const lost = ({ failed, reasons }: LoadReport): unknown => ({ failed, reasons });
const none = { failed: 0, reasons: {} };

async function enforce(machine: SandboxMachine, body: EnforceMachine): Promise<Operation> {
  const path = `/v1/machines/${machine.namespace}/${machine.name}/enforce`;
  const headers = { 'idempotency-key': randomUUID() };
  const accepted = await ask(async () => {
    const answer = await platform.api.call<Operation>('POST', path, body, headers);
    if (answer.status !== 202)
      throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  });
  return await platform.api.finished(accepted.id);
}

const onboard = async (machine: SandboxMachine): Promise<Operation> =>
  await ask(() => platform.api.onboard(onboardRequest(platform.env, machine, group())));

const everyPort = (machine: SandboxMachine): string[] => [
  `http://${machine.address}:8080/`,
  `grpc://${machine.address}:9090`,
  `tcp://${machine.address}:7070`,
  `greeting://${machine.address}:2525`,
];

/** With the machine's own key, as the user whose traffic is not captured: straight to the pod's proxy, as the mesh would call it. */
const withOwnKey = async (machine: SandboxMachine, address: string): Promise<string> =>
  await onMachine(
    machine,
    `sudo -u istio-proxy sh -c '{ printf "GET / HTTP/1.1\\r\\nHost: teller.bank.svc.cluster.local\\r\\nConnection: close\\r\\n\\r\\n"; sleep 2; } | timeout 10 openssl s_client -quiet -connect ${address}:8080 -alpn istio-http/1.1 -cert /etc/certs/cert-chain.pem -key /etc/certs/key.pem' 2>/dev/null || true`,
  );

test('takes machines in under plaintext load, also where the server speaks first', async () => {
  const caller = `http://${outside.address}:8080`;
  const loads = await Promise.all([
    startLoad(
      caller,
      [first, second].map(({ address }) => `http://${address}:8080/`),
      50,
    ),
    startLoad(
      caller,
      [first, second].map(({ address }) => `greeting://${address}:2525`),
      20,
    ),
  ]);
  await eventually('the loads run', async () =>
    (await Promise.all(loads.map((load) => load.report()))).every(({ sent }) => sent > 20),
  );
  const accepted = await Promise.all([first, second, vault].map((machine) => onboard(machine)));
  const ended = await Promise.all(accepted.map(({ id }) => platform.api.finished(id)));
  const reports = await Promise.all(loads.map((load) => load.stop()));
  expect(ended.map(({ phase, message }) => [phase, message])).toEqual(
    ended.map(({ message }) => ['Succeeded', message]),
  );
  expect(reports.map(lost)).toEqual([none, none]);
  const known = await platform.api.machine('shop', first.name);
  expect(known.enforcement).toBe('observe');
  expect(known.conditions).toContainEqual(
    expect.objectContaining({ type: 'ServerFirstPorts', message: expect.stringContaining('2525') as unknown }),
  );
  // A caller in the mesh is told to speak plaintext where no proxy is in the way.
  await eventually('a pod is greeted by name', async () =>
    isServed(await fromPod(frontend, `greeting://${group()}.shop.svc.cluster.local:2525`)),
  );
}, 300_000);

test('is not enforced while callers outside the mesh remain, and says whom and what it would cut', async () => {
  const load = await startLoad(`http://${outside.address}:8080`, [`http://${first.address}:8080/`], 10);
  const call = await loadOn(first, `http://${outside.address}:8080/`, 5);
  await eventually('both call', async () => (await load.report()).sent > 5 && (await call.report()).sent > 5);
  const path = `/v1/machines/shop/${first.name}/enforce`;
  const { body: plan } = await platform.api.call<Plan>('POST', `${path}?validateOnly=true`, { mode: 'enforce' });
  const operation = await enforce(first, { mode: 'enforce' });
  expect(lost(await load.stop())).toEqual(none);
  expect(lost(await call.stop())).toEqual(none);
  expect(operation.phase).toBe('Failed');
  expect(operation.message).toContain(`${outside.address} to port 8080`);
  expect((await platform.api.machine('shop', first.name)).enforcement).toBe('observe');
  for (const { conditions } of [plan, operation]) {
    const message = (type: string): string => conditions.find((found) => found.type === type)?.message ?? '';
    expect(message('PlaintextCallers')).toContain(`${outside.address} to port 8080`);
    expect(message('ExternalDestinations')).toContain(`${outside.address}:8080`);
    expect(message('IsolationOneSided')).toContain('bank');
  }
  expect(plan.steps.map(({ object }) => object).join('\n')).toMatch(/older than 45 s[^]*meshlift\/enforce/);
  expect(plan.files.map(({ path }) => path)).toEqual(['/var/lib/meshlift/enforce']);
  expect(plan.objects.map((object) => object['kind'])).toEqual([
    'PeerAuthentication',
    'Sidecar',
    'AuthorizationPolicy',
  ]);
}, 120_000);

describe('enforced', () => {
  test('loses no request of the mesh, in either direction, and holds from then on', async () => {
    // The key alone opens whatever pod has no policy of its own.
    expect(await withOwnKey(first, teller.pod)).toContain('200 OK');
    await apply('bank', [
      {
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: group(), namespace: 'bank' },
        spec: {
          selector: { matchLabels: { app: 'teller' } },
          // The second lets this test ask the pod to call somebody; it is no caller of the mesh.
          rules: [{ from: [{ source: { namespaces: ['bank'] } }] }, { to: [{ operation: { paths: ['/call'] } }] }],
        },
      },
    ]);
    await apply('outside', [
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'ServiceEntry',
        metadata: { name: group(), namespace: 'shop' },
        spec: {
          hosts: [`${group()}.outside.example`],
          exportTo: ['.'],
          addresses: [outside.address],
          ports: [{ number: 7070, name: 'tcp', protocol: 'TCP' }],
          location: 'MESH_EXTERNAL',
          resolution: 'STATIC',
          endpoints: [{ address: outside.address }],
        },
      },
    ]);
    const loads = await Promise.all([
      startLoad(frontend, [named('shop')], 30),
      loadOn(first, catalog, 20),
      loadOn(first, named('shop'), 10),
    ]);
    await eventually('the loads run', async () =>
      (await Promise.all(loads.map((load) => load.report()))).every(({ sent }) => sent > 20),
    );
    const operations = await Promise.all(
      [first, second, vault].map((machine) => enforce(machine, { mode: 'enforce', allowPlaintextCallers: true })),
    );
    expect(operations.map(({ phase, message }) => [phase, message])).toEqual(
      operations.map(({ message }) => ['Succeeded', message]),
    );
    expect((await platform.api.machine('shop', first.name)).enforcement).toBe('enforce');

    const bankPods = [
      'http://teller.bank.svc.cluster.local/',
      `http://${teller.clusterIp}/`,
      `http://${teller.pod}:8080/`,
    ];
    const tellerApp = `http://${teller.pod}:8080`;
    const [fromFirst, fromVault, fromTeller, fromOutside] = await Promise.all([
      served(first, [...bankPods, named('bank'), ...everyPort(vault), `http://${outside.address}:8080/`]),
      served(vault, [named('shop'), ...everyPort(first), catalog]),
      served(tellerApp, [named('shop'), ...everyPort(first), ...everyPort(second)]),
      served(outside, [...everyPort(first), ...everyPort(vault)]),
    ]);
    expect({ fromFirst, fromVault, fromTeller, fromOutside }).toEqual({
      fromFirst: [],
      fromVault: [],
      fromTeller: [],
      fromOutside: [],
    });
    expect(await withOwnKey(first, teller.pod)).toContain('RBAC: access denied');

    // What is the machine's own goes on: its namespace in both directions, its server that speaks first, what is declared.
    const greeting = `greeting://${group()}.shop.svc.cluster.local:2525`;
    const allowed = [
      await from(first, catalog),
      await from(first, `tcp://${outside.address}:7070`),
      await from(first, named('shop')),
      await fromPod(frontend, named('shop')),
      await fromPod(frontend, greeting),
    ];
    expect(allowed.map(isServed)).toEqual(allowed.map(() => true));

    await eventually(
      'the listeners of before have closed their connections',
      async () =>
        (
          await onMachine(
            first,
            `pilot-agent request --debug-port 15000 GET config_dump?resource=dynamic_listeners | grep -c '"draining_state"' || true`,
          )
        ).trim() === '0',
      90_000,
      2_000,
    );
    const reports = await Promise.all(loads.map((load) => load.stop()));
    expect(reports.map(lost)).toEqual([none, none, none]);
  }, 300_000);

  test('is opened by name where the owner of its namespace allows it', async () => {
    await apply('opened', [
      {
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: group(), namespace: 'shop' },
        spec: {
          selector: { matchLabels: { 'meshlift.dev/machine': first.name } },
          rules: [{ from: [{ source: { principals: ['cluster.local/ns/bank/sa/teller'] } }] }],
        },
      },
    ]);
    await eventually('teller is served by the machine that allows it', async () => {
      const answer = await fromPod(`http://${teller.pod}:8080`, named('shop'));
      return isServed(answer) && (answer.body ?? '').includes(first.name);
    });
    expect(await served(`http://${teller.pod}:8080`, everyPort(second))).toEqual([]);
    await command('kubectl', 'delete', '-f', join(scratch, 'opened.json'));
  }, 120_000);

  test('says so when it is asked again, stays so through a repair, and writes nothing', async () => {
    const again = await enforce(first, { mode: 'enforce' });
    expect({ phase: again.phase, message: again.message }).toEqual({
      phase: 'Succeeded',
      message: `shop/${first.name} is at enforce as wanted; nothing was written`,
    });
    const repair = await platform.api.finished((await onboard(first)).id);
    expect(repair.message).toContain('nothing was written');
    expect((await platform.api.machine('shop', first.name)).enforcement).toBe('enforce');
  }, 120_000);

  test('stays closed while the proxy is down and through a reboot, with all of Meshlift off, and comes back as it was', async () => {
    await platform.worker().stop('SIGKILL');
    const load = await startLoad(`http://${outside.address}:8080`, [`http://${second.address}:8080/`], 10);
    await onMachine(second, 'systemctl stop istio');
    expect(await served(outside, everyPort(second))).toEqual([]);
    expect(await onMachine(second, 'curl -s -m 5 http://127.0.0.1:8080/healthz')).toContain('ok');
    await sandbox('machine', 'reboot', second.name);
    await eventually('the machine is in the mesh again', async () =>
      (await onMachine(second, '/var/lib/meshlift/bin/capture status && systemctl is-active istio')).includes('active'),
    );
    await eventually('its Service reaches it', async () =>
      ((await fromPod(frontend, named('shop'))).body ?? '').includes(second.name),
    );
    const report = await load.stop();
    expect(report.answeredBy).toEqual({});
    expect(report.failed).toBe(report.sent);
    expect(await served(outside, everyPort(second))).toEqual([]);
    await platform.replaceWorker();
  }, 180_000);
});

test('goes back to observing, and takes plaintext again', async () => {
  const operation = await enforce(first, { mode: 'observe' });
  expect([operation.phase, operation.message]).toEqual(['Succeeded', operation.message]);
  expect((await platform.api.machine('shop', first.name)).enforcement).toBe('observe');
  const urls = everyPort(first);
  await eventually(
    'callers outside the mesh are served',
    async () => (await served(outside, urls)).length === urls.length,
  );
  expect(isServed(await from(first, `http://${outside.address}:8080/`))).toBe(true);
}, 120_000);

test('leaves enforced as it came, and no caller of the mesh notices', async () => {
  const loads = await Promise.all([startLoad(frontend, [named('shop')], 30), loadOn(first, named('shop'), 10)]);
  await eventually('both machines answer', async () => Object.keys((await loads[0].report()).answeredBy).length === 2);
  const operation = await platform.api.finished((await ask(() => platform.api.offboard('shop', second.name))).id);
  expect([operation.phase, operation.message]).toEqual(['Succeeded', operation.message]);
  const reports = await Promise.all(loads.map((load) => load.stop()));
  expect(reports.map(lost)).toEqual([none, none]);
  expect(difference(asFound, await snapshot(second))).toEqual([]);
  expect(await served(outside, everyPort(second))).toEqual(everyPort(second));
}, 180_000);
