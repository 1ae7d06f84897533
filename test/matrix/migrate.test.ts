/**
 * A migration is rolled back, and cancelled, in each of its steps, and meets everything that can go wrong: all traffic is with the
 * machines again, and nothing is left.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { CreateMigration, Manifest } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually, Unrecoverable } from '../../demo/eventually.ts';
import { type LoadReport, startLoad } from '../../demo/load.ts';
import { podAddress, sandboxEnv } from '../../demo/sandbox-client.ts';
import { applyObjects, targetOf } from '../../demo/target.ts';
import { manifestsBinding } from '../support/deployed.ts';
import { failedOf, reasonsOf } from '../support/drain-lab.ts';
import { type MigrationLab, migrationLab, shareOfErrors } from '../support/migration-lab.ts';
import { runRow } from '../support/migration-row.ts';
import { migrationRows } from '../support/migration-rows.ts';
import { endOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';
import { type TcpDoor, tcpDoor } from '../support/tcp-door.ts';
import { cutoverSteps } from '../../workflows/plan/cutover-steps.ts';

let platform: Platform;
let lab: MigrationLab;
let prometheus: TcpDoor;

beforeAll(async () => {
  const { exports } = await sandboxEnv();
  prometheus = await tcpDoor(new URL(exports['MESHLIFT_PROMETHEUS'] ?? '').host);
  platform = await startPlatform({ worker: { MESHLIFT_PROMETHEUS: `http://${prometheus.address}` } });
  lab = await migrationLab(platform, 'back', 2);
  await applyObjects([manifestsBinding(lab.namespace.name)]);
}, 300_000);

afterAll(async () => {
  await platform.stop();
  await lab.remove();
  await prometheus.down();
}, 120_000);

const steps = [50, 100].map((weight) => ({ weight, hold: '1s' }));
/** What a run would not pass by itself. */
const held: Readonly<Record<string, () => Promise<Partial<CreateMigration>>>> = {
  applyManifests: async () => ({ target: { manifests: [await newDeployment()], replicas: 2 } }),
  awaitCutover: () => Promise.resolve({ cutoverAt: new Date(Date.now() + 3_600_000).toISOString() }),
  proveSilence: () => Promise.resolve({ silence: '1h' }),
  holdSplit: () => Promise.resolve({ steps: [{ weight: 50, hold: '1s' }] }),
};
/** In the last two machines leave: they only go forward. */
const whole = cutoverSteps({ steps, cutoverAt: 'later', target: { deployment: 'orders' } }).slice(0, -2);
const takenBack = [...whole, 'applyManifests', 'holdSplit'];

const rows = takenBack.flatMap((step) => (['rollback', 'cancel'] as const).map((action) => ({ step, action })));

/** Beside the one that the lab keeps, and no part of what is found before. */
async function newDeployment(): Promise<Manifest> {
  const { namespace } = lab;
  const found = await targetOf(namespace.name, 'orders');
  return { ...found, metadata: { name: 'orders-new' } };
}

test.each(rows)(
  '$action in $step',
  async ({ step, action }) => {
    const load = await lab.load();
    const more = await held[step]?.();
    const { id } = await lab.start(lab.request('back', { steps, silence: '1s', ...more }));
    await eventually(
      `${id} is in ${step}`,
      async () => {
        const operation = await platform.api.operation(id);
        const { steps: found, waitingFor } = operation;
        if (hasEnded(operation)) throw new Unrecoverable(`${operation.phase}: ${operation.message ?? ''}`);
        const isThere = found.some(({ name, phase }) => name === step && phase !== 'Pending');
        if (!isThere && waitingFor?.includes('finalize') === true) await lab.control(id, 'finalize');
        return isThere;
      },
      180_000,
      20,
    );
    await lab.control(id, action);
    expect((await endOf(platform.api, id)).phase).toBe(action === 'rollback' ? 'RolledBack' : 'Cancelled');
    const reports = await load.stop();
    expect(reports.map(({ failed, reasons }) => ({ failed, reasons }))).toEqual(
      reports.map(() => ({ failed: 0, reasons: {} })),
    );
    await eventually('nothing is left', async () => (await lab.left()).length === 0);
    expect(Object.keys(await lab.answeredBy(50)).sort()).toEqual(lab.machines.map(({ name }) => name).sort());
  },
  300_000,
);

test.each(Object.entries(migrationRows))(
  '%s',
  async (_, row) => {
    const { phase, message } = await runRow({ platform, lab }, row);
    expect({ phase, message }).toEqual({ phase: row.phase, message: expect.stringMatching(row.message) as unknown });
    expect(Object.keys(await lab.answeredBy(100)).sort()).toEqual(lab.machines.map(({ name }) => name).sort());
  },
  300_000,
);

test('a Prometheus that is away is waited for', async () => {
  await lab.deploy({});
  const load = await lab.load();
  const analysis = { minRequests: 20, queries: [{ ...shareOfErrors, atMost: 0 }] };
  const { id } = await lab.start(
    lab.request('again', { steps: [50, 100].map((weight) => ({ weight, hold: '1s' })), approvals: [50], analysis }),
  );
  await platform.api.waitsFor(id, /approve of 50%/);
  await prometheus.down();
  await lab.control(id, 'approve');
  await platform.api.waitsFor(id, /Prometheus at .* does not answer/);
  await prometheus.up();
  await platform.api.waitsFor(id, /finalize/);
  await lab.control(id, 'rollback', 'a test');
  expect(await endOf(platform.api, id)).toMatchObject({ phase: 'RolledBack' });
  expect(failedOf(await load.stop())).toBe(0);
  expect(await lab.left()).toEqual([]);
}, 300_000);

test('a route of a gateway that appears between the plan and its guard keeps the guard from holding', async () => {
  const [namespace, name] = ['bank', `late-${lab.namespace.name}`];
  const host = `orders.${lab.namespace.name}.svc.cluster.local`;
  const spec = {
    ...{ hosts: ['late.example'], gateways: ['istio-system/ingress'] },
    http: [{ name: 'late', route: [{ destination: { host } }] }],
  };
  const metadata = { name, namespace };
  const during = async (id: string): Promise<void> => {
    await reaches(platform.api, id, 'applySubsets');
    await applyObjects([{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata, spec }]);
    await endOf(platform.api, id);
  };
  const message = new RegExp(
    `istio-ingressgateway-[^ ]+\\.istio-system follows VirtualService bank/${name} \\(route http\\.\\d+/late\\).*; name routes of gateways in ownGatewayRoutes.*; all traffic is with the machines, as before`,
  );
  try {
    const ended = await runRow({ platform, lab }, { isLoaded: true, phase: 'RolledBack', message, during });
    expect(ended).toEqual({ phase: 'RolledBack', message: expect.stringMatching(message) as unknown });
    expect(Object.keys(await lab.answeredBy(100)).sort()).toEqual(lab.machines.map(({ name }) => name).sort());
  } finally {
    await command('kubectl', '-n', namespace, 'delete', '--ignore-not-found', 'virtualservice', name);
  }
}, 300_000);

test('nothing is lost while the worker is killed at each step, the API and an istiod once', async () => {
  const load = await lab.load();
  const steps = [50, 100].map((weight) => ({ weight, hold: '2s' }));
  const { id } = await lab.start(lab.request('killed', { steps }));
  const waitsForFinalize = (operation: Operation): boolean => {
    if (hasEnded(operation)) throw new Unrecoverable(`${operation.phase}: ${operation.message ?? ''}`);
    return operation.waitingFor?.includes('finalize') === true;
  };
  const killed = await killInEachStep(id, waitsForFinalize, async (step) => {
    if (step === 'shiftTo50') await killIstiod();
    if (step === 'shiftTo100') await platform.replaceApi();
  });
  await lab.control(id, 'rollback', 'a test');
  expect(await endOf(platform.api, id)).toMatchObject({ phase: 'RolledBack' });
  const reports = await load.stop();
  expect({ failed: failedOf(reports), reasons: reasonsOf(reports) }).toEqual({
    failed: 0,
    reasons: [{}, {}, {}, {}],
  });
  const long = ['applySubsets', 'guardService', 'startPods', 'smokeTest', 'shiftTo50', 'shiftTo100', 'soak'];
  expect(killed).toEqual(expect.arrayContaining([...long, 'awaitFinalize']));
  expect(await lab.left()).toEqual([]);
}, 600_000);

test.each(['routes', 'selector'] as const)(
  'TCP moves as a whole by %s: connections that are kept stay, new ones go to pods',
  async (guard) => {
    const namespace = lab.namespace.name;
    const tcp = { name: 'tcp', port: 7070, targetPort: 7070 };
    const spec = { selector: { app: 'orders' }, ports: [tcp] };
    await applyObjects([{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'lines', namespace }, spec }]);
    const pod = `http://${await podAddress('shop', 'app=frontend')}:8080`;
    const target = `tcp://lines.${namespace}.svc.cluster.local:7070`;
    const keep = async (connections = 20) => await startLoad(pod, [target], 50, connections);
    await eventually('its callers have it', async () => {
      const probe = await keep(5);
      await eventually('lines are sent', async () => (await probe.report()).sent >= 20);
      return (await probe.stop()).failed === 0;
    });
    // No other Service has that port of the machines: what becomes of its connections is what the migration does.
    const portOfOrders = async (op: object) =>
      await command(
        'kubectl',
        '-n',
        namespace,
        'patch',
        'service',
        'orders',
        '--type=json',
        `-p=[${JSON.stringify(op)}]`,
      );
    await portOfOrders({ op: 'remove', path: '/spec/ports/2' });
    const steps = [{ weight: 100, hold: '1s' }];
    const whole = { service: 'lines', steps, approvals: [100], soak: '1h', ownGatewayRoutes: [], guard };
    // A guard by routes closes those that are older than itself.
    const older = guard === 'selector' ? await keep() : undefined;
    const { id } = await lab.start(lab.request('lines', whole));
    await platform.api.waitsFor(id, /approve of 100%/);
    const kept = older ?? (await keep());
    await eventually('20 connections are kept', async () => (await kept.report()).connections.open === 20);
    await lab.control(id, 'approve');
    await platform.api.waitsFor(id, /machines warm/);
    const fresh = await keep();
    const { sent } = await kept.report();
    // Longer than Envoy would leave connections on a listener that was altered: 45 s.
    await eventually('50 s of lines were sent', async () => (await kept.report()).sent > sent + 2_500, 90_000, 500);
    const [old, young] = await Promise.all([kept.stop(), fresh.stop()]);
    await lab.control(id, 'rollback', 'a test');
    expect(await endOf(platform.api, id)).toMatchObject({ phase: 'RolledBack' });
    const isMachine = (name: string): boolean => lab.machines.some((machine) => machine.name === name);
    const told = ({ connections: { opened, cut }, failed, answeredBy }: LoadReport) => ({
      ...{ opened, cut, failed },
      sides: [...new Set(Object.keys(answeredBy).map((name) => (isMachine(name) ? 'machine' : 'pod')))],
    });
    await portOfOrders({ op: 'add', path: '/spec/ports/2', value: tcp });
    expect(told(old)).toEqual({ opened: 20, cut: 0, failed: 0, sides: ['machine'] });
    expect(told(young)).toEqual({ opened: 20, cut: 0, failed: 0, sides: ['pod'] });
    expect(await lab.left()).toEqual([]);
  },
  300_000,
);

test('0 of 30,000 requests fail from start to finalize, with the worker killed at each step of that', async () => {
  await lab.deploy({});
  const load = await lab.load();
  const slowly = [10, 50, 100].map((weight) => ({ weight, hold: '30s' }));
  const { id } = await lab.start(lab.request('away', { steps: slowly }));
  await platform.api.waitsFor(id, /finalize/);
  await eventually('30,000 requests were sent', async () => (await load.sent()) >= 30_000, 300_000, 1_000);
  expect(await lab.retries()).toBe(0);
  await lab.control(id, 'finalize', 'a test');
  await platform.api.waitsFor(id, /without a request to a machine/);
  const killed = await killInEachStep(id, hasEnded);
  const ended = await platform.api.operation(id);
  expect(ended).toMatchObject({ phase: 'Succeeded' });
  expect(killed).toEqual(['proveSilence', 'retireMachines', 'removeRoutes']);
  expect(ended.cutover?.finalized).toMatchObject({ why: 'a test' });
  const reports = await load.stop();
  expect(reports.map(({ failed, reasons }) => ({ failed, reasons }))).toEqual(
    reports.map(() => ({ failed: 0, reasons: {} })),
  );
}, 900_000);

const hasEnded = ({ phase }: Operation): boolean => !['Pending', 'Running', 'Waiting'].includes(phase);

/** kill -9 of the worker in each step that is seen to run, and of what `beside` says; the steps, once it is over and none runs anew. */
async function killInEachStep(
  id: string,
  isOver: (operation: Operation) => boolean,
  beside: (step: string) => Promise<void> = () => Promise.resolve(),
): Promise<readonly string[]> {
  const killed: string[] = [];
  await eventually(
    `the worker was killed in each step of ${id}`,
    async () => {
      const operation = await platform.api.operation(id);
      const running = operation.steps.find(({ name, phase }) => phase === 'Running' && !killed.includes(name));
      if (running === undefined) return isOver(operation);
      killed.push(running.name);
      await beside(running.name);
      await platform.replaceWorker();
      return false;
    },
    600_000,
    50,
  );
  return killed;
}

/** One of the two that serve the mesh, at once. */
async function killIstiod(): Promise<void> {
  const pods = (await command('kubectl', '-n', 'istio-system', 'get', 'pods', '-l', 'app=istiod', '-o', 'name')).split(
    '\n',
  );
  const [first = ''] = pods;
  await command('kubectl', '-n', 'istio-system', 'delete', first, '--grace-period=0', '--force');
}
