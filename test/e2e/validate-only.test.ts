/** `validateOnly` for a machine that is there: its entity is asked first. The entity is started as one that has onboarded it. */
import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { operationRequest } from '../../api/operation-request.ts';
import type { Problem } from '../../api/schemas/common.ts';
import type { OnboardMachine, Plan } from '../../api/schemas/machine.ts';
import { Api } from '../../demo/api-client.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import type { MachineInput, PlanMachineInput } from '../../workflows/messages.ts';
import { newMachine } from '../../workflows/plan/machine-state.ts';
import { type ListeningApi, listeningApi } from '../support/listening-api.ts';
import { startTestWorker, type TestWorker } from '../support/test-worker.ts';

const namespace = `validate-only-${randomBytes(4).toString('hex')}`;
const body: OnboardMachine = {
  name: 'member-1',
  namespace: 'shop',
  workloadGroup: 'orders',
  host: { address: '127.0.0.1', user: 'ops', credentialsName: 'none', hostKey: { trustOnFirstUse: true } },
};
let worker: TestWorker;
let server: ListeningApi;
let api: Api;

beforeAll(async () => {
  const env = await sandboxEnv();
  worker = await startTestWorker(env, namespace, (activities) => activities);
  server = await listeningApi(env.temporalAddress, namespace);
  api = new Api(server.url);
  const { bodyDigest } = operationRequest({ verb: 'onboard', ...body, body, idempotencyKey: undefined });
  const state = { ...newMachine, phase: 'InMesh', isPresent: true, desired: body, desiredDigest: bodyDigest } as const;
  await worker.client.workflow.start<(input: MachineInput) => Promise<unknown>>('machine', {
    workflowId: 'machine/shop/member-1',
    taskQueue: 'meshlift',
    args: [{ namespace: 'shop', name: 'member-1', state }],
  });
}, 90_000);

afterAll(async () => {
  await server.close();
  await worker.stop();
}, 60_000);

/** The plans that were asked for so far, by what the API told them. */
async function plannedAsMember(): Promise<(boolean | undefined)[]> {
  const told: (boolean | undefined)[] = [];
  for await (const { workflowId } of worker.client.workflow.list({ query: "WorkflowType = 'planMachine'" })) {
    const { events = [] } = await worker.client.workflow.getHandle(workflowId).fetchHistory();
    const payload = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0];
    const input = JSON.parse(Buffer.from(payload?.data ?? []).toString()) as PlanMachineInput;
    told.push(input.isMember);
  }
  return told;
}

test('another body is refused as POST refuses it, and nothing is planned', async () => {
  for (const path of ['/v1/machines?validateOnly=true', '/v1/machines']) {
    const answer = await api.call<Problem>('POST', path, { ...body, workloadGroup: 'other' });
    expect({ status: answer.status, type: answer.body.type }).toEqual({
      status: 409,
      type: 'urn:meshlift:problem:machine-exists',
    });
  }
  expect(await plannedAsMember()).toEqual([]);
}, 60_000);

test('the same body is planned as that of a member', async () => {
  const { status, body: plan } = await api.call<Plan>('POST', '/v1/machines?validateOnly=true', body);
  expect(status).toBe(200);
  expect(plan.conditions).not.toEqual([]);
  expect(await plannedAsMember()).toEqual([true]);
}, 90_000);
