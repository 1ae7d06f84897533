/** A workload moves from machines to pods under load: no request is lost, and until the end there is a way back. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Problem } from '../../api/schemas/common.ts';
import type { CreateMigration, MigrationPlan } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { powerOff, powerOn } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { failedOf, reasonsOf } from '../support/drain-lab.ts';
import { type MigrationLab, migrationLab, p99OfBoth, shareOfErrors } from '../support/migration-lab.ts';
import { runRow } from '../support/migration-row.ts';
import { migrationRows } from '../support/migration-rows.ts';
import { endOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, onMachine } from '../support/sandbox.ts';
import { pickSome, seed } from '../support/seed.ts';

const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'use-cases', 'migrate.md'), 'utf8');

let platform: Platform;
let lab: MigrationLab;

beforeAll(async () => {
  platform = await startPlatform();
  lab = await migrationLab(platform, 'move', 2);
}, 300_000);

afterAll(async () => {
  await platform.stop();
  await lab.remove();
}, 120_000);

/** What pods answer of what each caller sends, beside the weight: the difference, in standard errors of such a sample. */
async function offBy(weight: number): Promise<Readonly<Record<string, number>>> {
  const isExact = weight === 0 || weight === 100;
  const off = Object.entries(await lab.callers()).map(async ([name, caller]) => {
    const served = Object.entries(await lab.answeredBy(isExact ? 200 : SAMPLE, caller));
    const sum = (counts: readonly [string, number][]): number => counts.reduce((all, [, count]) => all + count, 0);
    const byPods = sum(served.filter(([host]) => !lab.machines.some((machine) => machine.name === host)));
    const [total, wanted] = [sum(served), weight / 100];
    // One request on the other side is too many where all belong to one.
    const error = isExact ? Number.EPSILON : Math.sqrt((wanted * (1 - wanted)) / total);
    return [name, Math.abs(byPods / total - wanted) / error] as const;
  });
  return Object.fromEntries(await Promise.all(off));
}

/** Requests of each caller: four standard errors are 5 points at 20%. */
const SAMPLE = 1_000;
const WITHIN = 4;

/** Somebody routes the Service too, and takes that away again. */
async function meetsRouteBeside(id: string): Promise<void> {
  const [namespace, name] = ['bank', `beside-${lab.namespace.name}`];
  const http = [{ route: [{ destination: { host: `orders.${lab.namespace.name}.svc.cluster.local` } }] }];
  const spec = { hosts: ['beside.example'], gateways: ['istio-system/ingress'], http };
  await applyObjects([
    { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name, namespace }, spec },
  ]);
  try {
    await platform.api.waitsFor(
      id,
      new RegExp(`mended: VirtualService bank/${name}, which kubectl wrote last`),
      60_000,
    );
  } finally {
    await command('kubectl', '-n', namespace, 'delete', 'virtualservice', name);
  }
  await lab.control(id, 'resume');
  await platform.api.waitsFor(id, /approve of 100%/);
}

describe('a migration', () => {
  test('gives pods the share that each step says, and rolled back at 100% leaves everything as it was', async () => {
    const load = await lab.load();
    const steps = [20, 50, 100].map((weight) => ({ weight, hold: '2s' }));
    const analysis = { minRequests: 20, queries: [{ ...shareOfErrors, atMost: 0 }, p99OfBoth] };
    const { id } = await lab.start(lab.request('orders-to-pods', { steps, approvals: [20, 50, 100], analysis }));
    const off: Record<string, Readonly<Record<string, number>>> = {};
    const [path, once] = [`/v1/operations/${id}/approve`, { 'idempotency-key': 'once' }];
    const approve = (weight: number) => platform.api.call('POST', path, { reason: 'a test', weight }, once);
    await platform.api.waitsFor(id, /approve of 20%/);
    off['guarded'] = await offBy(0);
    await lab.control(id, 'approve');
    await platform.api.waitsFor(id, /approve of 50%/);
    off['at 20%'] = await offBy(20);
    expect((await approve(50)).status).toBe(200);
    await platform.api.waitsFor(id, /approve of 100%/);
    await meetsRouteBeside(id);
    // As one repeats whose answer was lost: it approves nothing more.
    expect((await approve(50)).status).toBe(200);
    expect((await approve(100)).body).toMatchObject({
      type: expect.stringMatching(/idempotency-key-reused$/) as unknown,
    });
    off['at 50%'] = await offBy(50);
    await lab.control(id, 'approve');
    await platform.api.waitsFor(id, /finalize/);
    off['at 100%'] = await offBy(100);
    expect(await lab.retries()).toBe(0);
    await shell(guide.rollback);
    const operation = await endOf(platform.api, id);
    off['back'] = await offBy(0);
    // Nor once the run is over.
    expect(await approve(50)).toMatchObject({ status: 200, body: { phase: 'RolledBack' } });
    const reports = await load.stop();
    expect({ phase: operation.phase, message: operation.message }).toMatchObject({ phase: 'RolledBack' });
    expect({ failed: failedOf(reports), reasons: reasonsOf(reports) }).toEqual({
      failed: 0,
      reasons: [{}, {}, {}, {}],
    });
    const outliers = Object.entries(off).filter(([, callers]) => Object.values(callers).some((one) => one > WITHIN));
    expect(Object.fromEntries(outliers)).toEqual({});
    const told = operation.cutover?.changes.map(({ weight, by, why }) => ({ weight, by, why }));
    expect(told).toMatchObject([
      { weight: 0, by: 'the run', why: 'guard' },
      { weight: 20, by: expect.not.stringMatching('the run') as unknown, why: 'step to 20%' },
      { weight: 50, by: expect.not.stringMatching('the run') as unknown, why: 'step to 50%: a test' },
      { weight: 100, by: expect.not.stringMatching('the run') as unknown, why: 'step to 100%' },
      { weight: 0, by: expect.not.stringMatching('the run') as unknown, why: 'rollback: orders are slow' },
    ]);
    const evidence = operation.cutover?.changes.map(({ evidence: seen }) => (seen?.pods.requests ?? 0) > 0);
    expect(evidence).toEqual([false, true, true, true, false]);
    expect(await lab.left()).toEqual([]);
  }, 300_000);

  test.each(pickSome('migrations', Object.entries(migrationRows), 2))(
    `meets %s (seed ${seed})`,
    async (_, row) => {
      const { phase, message } = await runRow({ platform, lab }, row);
      expect({ phase, message }).toEqual({ phase: row.phase, message: expect.stringMatching(row.message) as unknown });
      expect(Object.keys(await lab.answeredBy(100)).sort()).toEqual(lab.machines.map(({ name }) => name).sort());
    },
    300_000,
  );

  test('meets routes of others, and refuses before it touches anything', async () => {
    const namespace = lab.namespace.name;
    const host = `orders.${namespace}.svc.cluster.local`;
    const http = [{ route: [{ destination: { host } }] }];
    await applyObjects([
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRule',
        metadata: { name: `to-${namespace}`, namespace: 'bank' },
        spec: { host },
      },
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'second-edge', namespace },
        spec: { hosts: ['orders.example'], gateways: ['istio-system/ingress'], http },
      },
    ]);
    try {
      const { id } = await lab.start(lab.request('again'));
      const operation = await endOf(platform.api, id);
      expect(operation.phase).toBe('Failed');
      expect(operation.message).toMatch(/^Nothing was touched: /);
      expect(operation.message).toContain(`DestinationRule bank/to-${namespace}`);
      expect(operation.message).toContain(`VirtualService ${namespace}/second-edge`);
      expect(await lab.left()).toEqual(['virtualservice.networking.istio.io/second-edge']);
      await lab.start(lab.request('again'));
      const { run } = await endOf(platform.api, id);
      expect(run).not.toBe(operation.run);
      const before = await platform.api.call<Operation>('GET', `/v1/operations/${id}?run=${operation.run ?? ''}`);
      expect(before.body).toEqual(operation);
      const unknown = await platform.api.call('GET', `/v1/operations/${id}?run=${randomUUID()}`);
      expect(unknown.status).toBe(404);
      const late = await platform.api.call<Problem>('POST', `/v1/operations/${id}/finalize`, {});
      expect(late).toMatchObject({
        status: 409,
        body: { type: expect.stringMatching(/operation-not-running$/) as unknown },
      });
    } finally {
      await command('kubectl', '-n', 'bank', 'delete', 'destinationrule', `to-${namespace}`);
      await command('kubectl', '-n', namespace, 'delete', 'virtualservice', 'second-edge');
    }
  }, 120_000);

  test('is what it takes: pods started beside, and then machines stopped, lose requests', async () => {
    await lab.deploy({});
    const load = await lab.load();
    const scale = ['-n', lab.namespace.name, 'scale', 'deployment', 'orders', '--replicas'];
    await command('kubectl', ...scale, '2');
    await command('kubectl', '-n', lab.namespace.name, 'rollout', 'status', 'deployment', 'orders', '--timeout=60s');
    await Promise.all(lab.machines.map((machine) => powerOff(machine)));
    const sent = await load.sent();
    await eventually('a few more requests are sent', async () => (await load.sent()) > sent + 1_000);
    expect(failedOf(await load.stop())).toBeGreaterThan(0);
    await Promise.all(lab.machines.map((machine) => powerOn(machine)));
    await command('kubectl', ...scale, '0');
    await eventually(
      'both machines serve again',
      async () => {
        const served = Object.keys(await lab.answeredBy(50));
        return lab.machines.every(({ name }) => served.includes(name)) && (await lab.left()).length === 0;
      },
      120_000,
    );
  }, 300_000);

  test('goes as its guide says, from machines to pods, and the machines leave', async () => {
    const load = await lab.load();
    const [plan = '', start = '', approve = '', finalize = ''] = guide.shell;
    const [machine] = lab.machines;
    await onMachine(lab.outside, `curl -sf http://${machine?.address ?? ''}:8080/`);
    const planned = JSON.parse(await shell(plan)) as MigrationPlan;
    expect(planned.conditions).toContainEqual(
      expect.objectContaining({
        ...{ type: 'CallersFollow', status: 'False', category: 'Warning', reason: 'CallersOutsideMesh' },
        message: expect.stringContaining(`${lab.outside.address} to port 8080 of ${machine?.name ?? ''}`) as unknown,
      }),
    );
    const faults = planned.conditions.filter(({ category, status }) => category === 'Critical' && status !== 'True');
    expect(faults).toEqual([]);
    expect(planned.steps.map(({ name }) => name)).toContain('shiftTo50');
    const [id = ''] = /migrate\.[^"/]+/.exec(await shell(start)) ?? [];
    await platform.api.waitsFor(id, /approve of 100%/);
    await shell(approve);
    await platform.api.waitsFor(id, /finalize/);
    expect(await lab.retries()).toBe(0);
    await shell(finalize);
    const operation = await endOf(platform.api, id, 600_000);
    const reports = await load.stop();
    expect({ phase: operation.phase, message: operation.message }).toMatchObject({ phase: 'Succeeded' });
    expect(operation.cutover?.finalized).toMatchObject({ why: 'no complaints' });
    expect({ failed: failedOf(reports), reasons: reasonsOf(reports) }).toEqual({
      failed: 0,
      reasons: [{}, {}, {}, {}],
    });
    // Their traffic was with pods: that they leave disrupts nobody.
    const { operations } = (await platform.api.call<{ operations: Operation[] }>('GET', '/v1/operations')).body;
    const leaving = operations.filter(
      ({ verb, target }) => verb === 'offboard' && target.namespace === lab.namespace.name,
    );
    const drains = await Promise.all(leaving.map(async ({ id: left }) => (await platform.api.operation(left)).drain));
    expect(drains.map((drain) => drain?.disrupts)).toEqual([undefined, undefined]);
    const left = lab.machines.map(({ name }) => `${name} Migrated`);
    expect((await lab.left()).filter((line) => !line.startsWith('pod/'))).toEqual(['2 replicas', ...left]);
  }, 900_000);
});

/** The guide's request, in a hurry, and its commands, in their order. */
const guide = {
  get request(): CreateMigration {
    const [, json = ''] = /```json\n(.*?)\n```/s.exec(text) ?? [];
    const asked = JSON.parse(json) as CreateMigration;
    const { steps, soak, silence, analysis, ownGatewayRoutes } = lab.request(asked.name);
    const hurried = asked.steps.map(({ weight }, index) => ({ weight, hold: steps[index]?.hold ?? '4s' }));
    const gateway = ownGatewayRoutes === undefined ? {} : { ownGatewayRoutes };
    return {
      ...{ ...asked, namespace: lab.namespace.name, steps: hurried, ...gateway },
      ...(soak === undefined || silence === undefined ? {} : { soak, silence }),
      ...(analysis === undefined ? {} : { analysis }),
    };
  },
  get rollback(): string {
    return this.shell.find((block) => block.includes('/rollback')) ?? '';
  },
  shell: [...text.matchAll(/```sh\n(.*?)\n```/gs)].map(([, block = '']) => block),
};

async function shell(block: string): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-guide-'));
  try {
    writeFileSync(join(scratch, 'migration.json'), JSON.stringify(guide.request));
    const own = block
      .replaceAll('migrate.shop.', `migrate.${lab.namespace.name}.`)
      .replaceAll('/shop/', `/${lab.namespace.name}/`);
    const env = { ...process.env, ...platform.env.exports };
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', own], { cwd: scratch, env });
    return stdout;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
