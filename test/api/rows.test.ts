import { expect, test } from '@jest/globals';

import { isMachine, machineRow, operationRow } from '../../api/rows.ts';
import type { ListedRun } from '../../api/visibility.ts';

const run: ListedRun = {
  workflowId: 'machine/shop/orders-1',
  workflowType: 'machine',
  runId: 'r',
  isRunning: true,
  status: 'RUNNING',
  startedAt: '2026-11-22T10:00:00.000Z',
  attributes: {},
  memo: {},
};
const operation: ListedRun = {
  ...run,
  workflowId: 'onboard-web-shop-orders-1-01JZ0000000000000000000000',
  workflowType: 'onboardMachine',
  attributes: { MeshliftNamespace: 'web-shop', MeshliftPhase: 'Running' },
};

test('reads a machine from its id and search attributes', () => {
  const attributes = {
    MeshliftPhase: 'InMesh',
    MeshliftWorkloadGroup: 'orders',
    MeshliftRevision: '1-30-0',
    MeshliftOutdated: true,
  };
  expect(machineRow({ ...run, attributes })).toEqual({
    namespace: 'shop',
    name: 'orders-1',
    workloadGroup: 'orders',
    phase: 'InMesh',
    revision: '1-30-0',
    outdated: true,
  });
});

test.each([
  ['COMPLETED', 'Offboarded', 'Offboarded'],
  ['COMPLETED', 'Drained', 'Drained'],
  ['TERMINATED', 'InMesh', 'Failed'],
  ['FAILED', 'Onboarding', 'Failed'],
] as const)('shows a machine whose entity ended %s in phase %s as %s', (status, told, shown) => {
  expect(machineRow({ ...run, isRunning: false, status, attributes: { MeshliftPhase: told } }).phase).toBe(shown);
});

test('finds the machine in an operation id though namespace and name hold hyphens', () => {
  expect(operationRow(operation)).toMatchObject({
    verb: 'onboard',
    target: { namespace: 'web-shop', name: 'orders-1' },
  });
});

test.each([
  ['drainMachine', 'drain'],
  ['drainMachine', 'undrain'],
  ['enforceMachine', 'enforce'],
  ['restartMachine', 'restart-proxy'],
] as const)('reads an operation of %s as %s by its id', (workflowType, verb) => {
  const workflowId = `${verb}-web-shop-orders-1-01JZ0000000000000000000000`;
  expect(operationRow({ ...operation, workflowType, workflowId })).toMatchObject({
    verb,
    target: { namespace: 'web-shop', name: 'orders-1' },
  });
});

test('takes a workflow whose id is not of its verb for no operation', () => {
  expect(operationRow({ ...operation, workflowType: 'drainMachine' })).toBeUndefined();
});

test.each([
  ['RUNNING', 'Waiting', 'Waiting'],
  ['COMPLETED', 'Succeeded', 'Succeeded'],
  ['FAILED', 'RolledBack', 'RolledBack'],
  ['CANCELLED', 'Cancelled', 'Cancelled'],
  ['TERMINATED', 'Running', 'Failed'],
  ['TIMED_OUT', undefined, 'Failed'],
] as const)('shows an operation whose workflow is %s and told %s as %s', (status, told, shown) => {
  const attributes = { MeshliftNamespace: 'web-shop', ...(told === undefined ? {} : { MeshliftPhase: told }) };
  expect(operationRow({ ...operation, isRunning: status === 'RUNNING', status, attributes })?.phase).toBe(shown);
});

test('counts an entity that ended and was never asked anything as no machine', () => {
  const attributes = { MeshliftPhase: 'Onboarding' };
  const memo = { phase: 'Onboarding' };
  expect(isMachine({ ...run, isRunning: false, status: 'TERMINATED', attributes, memo })).toBe(true);
  expect(isMachine({ ...run, attributes })).toBe(true);
  expect(isMachine({ ...run, isRunning: false, status: 'COMPLETED', attributes })).toBe(false);
});
