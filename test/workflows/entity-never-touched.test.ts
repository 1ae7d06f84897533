/**
 * A machine that no operation ever touched, because nobody answers at its address: its entity holds on to nothing but the keys it
 * has seen. Temporal is real, the facts are made up.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { WithStartWorkflowOperation, WorkflowFailedError } from '@temporalio/client';

import type { Activities } from '../../activities/index.ts';
import { failure } from '../../activities/failures.ts';
import type { Machine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { searchAttributes as attributes } from '../../workflows/messages.ts';
import type {
  Accepted,
  MachineInput,
  OffboardRequest,
  OnboardRequest,
  PlanMachineInput,
} from '../../workflows/messages.ts';
import { cluster, request as body } from '../plan/facts.ts';
import { startTestWorker, type TestWorker } from '../support/test-worker.ts';

type MachineWorkflow = (input: MachineInput) => Promise<Machine | undefined>;
type PlanWorkflow = (input: PlanMachineInput) => Promise<unknown>;

const run = Date.now().toString(36);
let worker: TestWorker;

const nobodyAnswers = (activities: Activities): Activities => ({
  ...activities,
  readClusterFacts: () => Promise.resolve(cluster),
  inspectMachine: () =>
    Promise.reject(failure('HostUnreachable', `Nobody answers at ${body.host.address}; correct the address`)),
});

function named(title: string) {
  const name = `${title}-${run}`;
  const onboard = (number: number, fields: Partial<OnboardRequest> = {}): OnboardRequest => ({
    operationId: `onboard-shop-${name}-${number}`,
    bodyDigest: 'one',
    body: { ...body, name },
    ...fields,
  });
  const entity = () =>
    new WithStartWorkflowOperation<MachineWorkflow>('machine', {
      workflowId: `machine/shop/${name}`,
      taskQueue: 'meshlift',
      args: [{ namespace: 'shop', name, waits: { readableMs: 2_000 } }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
  const ask = async (request: OnboardRequest) =>
    await worker.client.workflow.executeUpdateWithStart<MachineWorkflow, Accepted, [OnboardRequest]>('onboard', {
      startWorkflowOperation: entity(),
      args: [request],
    });
  const handle = worker.client.workflow.getHandle<MachineWorkflow>(`machine/shop/${name}`);
  const leave = async (operationId: string) =>
    await handle.executeUpdate<Accepted, [OffboardRequest]>('offboard', {
      args: [{ operationId, bodyDigest: 'none' }],
    });
  return { name, onboard, ask, leave, handle };
}

/** Of one that was accepted: its run may start a moment later. */
async function endOf(id: string): Promise<Operation> {
  const handle = worker.client.workflow.getHandle(id);
  await eventually(`${id} has ended`, async () => (await handle.describe()).status.name !== 'RUNNING');
  await expect(handle.result()).rejects.toBeInstanceOf(WorkflowFailedError);
  return await handle.query<Operation>('operation');
}

beforeAll(async () => {
  worker = await startTestWorker(await sandboxEnv(), 'meshlift-entity', nobodyAnswers);
}, 60_000);

afterAll(async () => {
  await worker.stop();
});

test('ends, also after a DELETE that waited for its turn', async () => {
  const { name, onboard, ask, leave, handle } = named('wrong-address');
  await ask(onboard(1));
  await leave(`offboard-shop-${name}-2`);
  // The DELETE has no run of its own before its turn.
  await expect(handle.result()).resolves.toMatchObject({ phase: 'Failed' });
  const operation = await endOf(`offboard-shop-${name}-2`);
  expect(operation).toMatchObject({ phase: 'Failed', message: expect.stringContaining('Nothing was touched') });
  const { memo } = await worker.client.workflow.getHandle(operation.id).describe();
  expect(memo).toMatchObject({ isCancellable: false });
}, 60_000);

test('stays for its key, answers the repeat, and takes on a corrected request', async () => {
  const { onboard, ask, handle } = named('with-key');
  const request = onboard(1, { idempotencyKey: 'key' });
  await ask(request);
  await endOf(request.operationId);
  const repeated = await ask({ ...request, operationId: onboard(2).operationId });
  expect(repeated).toEqual({ operationId: request.operationId });
  await eventually(
    'the entity has heard of the end',
    async () => (await handle.query<Machine>('machine')).phase === 'Failed',
  );
  const corrected = onboard(3, { bodyDigest: 'two' });
  expect(await ask(corrected)).toEqual({ operationId: corrected.operationId });
  expect(await endOf(corrected.operationId)).toMatchObject({ phase: 'Failed' });
  expect((await handle.describe()).status.name).toBe('RUNNING');
  await handle.terminate('the test is over');
}, 60_000);

test('a plan says what could not be read, and is listed as a plan of its namespace', async () => {
  const handle = await worker.client.workflow.start<PlanWorkflow>('planMachine', {
    workflowId: `plan-${run}`,
    taskQueue: 'meshlift',
    args: [{ body, isMember: true, waits: { readableMs: 2_000 } }],
  });
  expect(await handle.result()).toMatchObject({
    conditions: expect.arrayContaining([expect.objectContaining({ reason: 'HostUnreachable' })]),
    steps: [],
  });
  const { typedSearchAttributes } = await handle.describe();
  expect([typedSearchAttributes.get(attributes.namespace), typedSearchAttributes.get(attributes.operation)]).toEqual([
    'shop',
    'plan',
  ]);
}, 60_000);
