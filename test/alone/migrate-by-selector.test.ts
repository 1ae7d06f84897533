/** A workload moves to pods though others route its Service and have rules for it: what that selects keeps its sides apart. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { CreateMigration, MigrationPlan } from '../../api/schemas/migration.ts';
import { failedOf, reasonsOf } from '../support/drain-lab.ts';
import { type MigrationLab, migrationLab } from '../support/migration-lab.ts';
import { endOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

let platform: Platform;
let lab: MigrationLab;

beforeAll(async () => {
  platform = await startPlatform();
  lab = await migrationLab(platform, 'select', 2);
}, 300_000);

afterAll(async () => {
  await platform.stop();
  await lab.remove();
}, 120_000);

test('moves under load by the selector of its Service, which is then as it was found', async () => {
  const rule = await lab.clientRule();
  const before = await lab.service();
  const steps = [50, 100].map((weight) => ({ weight, hold: '2s' }));
  const byRoutes = lab.request('select', { steps, approvals: [100], ownGatewayRoutes: [] });
  const bySelector: CreateMigration = { ...byRoutes, guard: 'selector' };
  const plan = async (body: object) =>
    (await platform.api.call<MigrationPlan>('POST', '/v1/migrations?validateOnly=true', body)).body;
  const faults = ({ conditions }: MigrationPlan) =>
    conditions.filter(({ category, status }) => category === 'Critical' && status !== 'True');
  expect(faults(await plan(byRoutes))).toMatchObject([
    { reason: 'RoutedAlready', message: expect.stringMatching(/ask for guard: selector/) as unknown },
  ]);
  const planned = await plan(bySelector);
  expect(faults(planned)).toEqual([]);
  const warned = planned.conditions.filter(({ status }) => status !== 'True').map(({ reason }) => reason);
  expect(warned).toEqual(expect.arrayContaining(['RulesNotOfPods', 'RoutesUnled']));
  expect(await lab.service()).toEqual(before);

  const load = await lab.load();
  const { id } = await lab.start(bySelector);
  await platform.api.waitsFor(id, /approve of 100%/);
  const machines = lab.machines.map(({ name }) => name).sort();
  expect(Object.keys(await lab.answeredBy(100))).toHaveLength(4);
  expect(await lab.gatewayAnsweredBy(20)).toEqual(machines);
  await lab.control(id, 'approve');
  await platform.api.waitsFor(id, /finalize/);
  const byGateway = await lab.gatewayAnsweredBy(20);
  expect(byGateway.filter((name) => machines.includes(name))).toEqual([]);
  expect(await lab.retries()).toBe(0);
  await lab.control(id, 'finalize', 'a test');
  const operation = await endOf(platform.api, id, 300_000);
  const reports = await load.stop();
  expect({ phase: operation.phase, message: operation.message }).toMatchObject({ phase: 'Succeeded' });
  expect({ failed: failedOf(reports), reasons: reasonsOf(reports) }).toEqual({ failed: 0, reasons: [{}, {}, {}, {}] });
  expect(await lab.service()).toEqual(before);
  const left = (await lab.left()).filter((line) => !line.startsWith('pod/'));
  expect(left).toEqual(['2 replicas', ...lab.machines.map(({ name }) => `${name} Migrated`)]);
  await rule.remove();
}, 600_000);
