/** The API over a real Temporal server in which no worker runs: what it can answer, it answers; the rest it says in time. */
import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { ulid } from 'ulid';

import { connectTemporal } from '../../api/temporal.ts';
import type { Problem } from '../../api/schemas/common.ts';
import type { MachineList } from '../../api/schemas/machine.ts';
import type { OperationList } from '../../api/schemas/operation.ts';
import { Api } from '../../demo/api-client.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { setUpTemporal } from '../../worker/temporal-setup.ts';
import { searchAttributes } from '../../workflows/messages.ts';
import { type ListeningApi, listeningApi } from '../support/listening-api.ts';

const namespace = `without-worker-${randomBytes(4).toString('hex')}`;
let temporal: Client;
let server: ListeningApi;
let api: Api;

beforeAll(async () => {
  const { temporalAddress } = await sandboxEnv();
  server = await listeningApi(temporalAddress, namespace);
  api = new Api(server.url);
  const connection = await Connection.connect({ address: temporalAddress });
  temporal = new Client({ connection, namespace });
}, 30_000);

afterAll(async () => {
  await server.close();
  await temporal.connection.close();
});

const list = async (query: string): Promise<MachineList> =>
  (await api.call<MachineList>('GET', `/v1/machines?${query}`)).body;

/** A machine's entity as it stands when its worker is gone. */
async function startEntity(machine: string, phase: string, end?: 'terminate', memo?: object): Promise<void> {
  const handle = await temporal.workflow.start('machine', {
    workflowId: `machine/${machine}`,
    taskQueue: 'nobody',
    args: [],
    memo: { ...memo },
    typedSearchAttributes: [
      { key: searchAttributes.namespace, value: machine.split('/')[0] ?? '' },
      { key: searchAttributes.phase, value: phase },
      { key: searchAttributes.workloadGroup, value: 'orders' },
      { key: searchAttributes.outdated, value: false },
    ],
  });
  if (end === 'terminate') await handle.terminate();
}

test('before any worker ever ran: not ready, and says what is missing', async () => {
  const { status, body } = await api.call<Problem>('GET', '/readyz');
  expect({ status, type: body.type }).toEqual({ status: 503, type: 'urn:meshlift:problem:namespace-unprepared' });
  await setUpTemporal(temporal.connection, namespace);
  await eventually('the API is ready', async () => (await api.call('GET', '/readyz')).status === 200);
}, 90_000);

describe('lists', () => {
  beforeAll(async () => {
    await startEntity('lists/again', 'InMesh', 'terminate');
    await startEntity('lists/again', 'Onboarding', 'terminate');
    await startEntity('lists/again', 'InMesh');
    for (const name of ['one', 'two', 'three']) await startEntity(`lists/${name}`, 'InMesh', 'terminate');
    await startEntity('elsewhere/other', 'InMesh');
    await startEntity('unasked/left', 'InMesh', 'terminate');
    await startEntity('unasked/left', 'Onboarding');
    await eventually('everything is listed', async () => (await list('namespace=lists')).machines.length === 4);
  }, 30_000);

  test('show each machine once, by its last run, also across pages', async () => {
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page: MachineList = await list(
        `namespace=lists&pageSize=2${token === undefined ? '' : `&pageToken=${token}`}`,
      );
      seen.push(...page.machines.map(({ name, phase }) => `${name} ${phase ?? ''}`));
      token = page.nextPageToken;
    } while (token !== undefined);
    expect(seen.sort()).toEqual(['again InMesh', 'one Failed', 'three Failed', 'two Failed']);
  });

  test('filter by namespace, group, phase and outdated', async () => {
    const names = async (query: string): Promise<string[]> => (await list(query)).machines.map(({ name }) => name);
    expect(await names('namespace=elsewhere&workloadGroup=orders&outdated=false')).toEqual(['other']);
    expect(await names('namespace=elsewhere&workloadGroup=other')).toEqual([]);
    expect(await names('namespace=elsewhere&outdated=true')).toEqual([]);
    expect(await names('namespace=elsewhere&phase=Failed')).toEqual([]);
  });

  test('filter by the phase that the rows show', async () => {
    const rows = async (phase: string): Promise<string[]> =>
      (await list(`namespace=lists&phase=${phase}`)).machines.map((row) => `${row.name} ${row.phase ?? ''}`).sort();
    expect(await rows('Failed')).toEqual(['one Failed', 'three Failed', 'two Failed']);
    expect(await rows('InMesh')).toEqual(['again InMesh']);
    expect(await rows('Onboarding')).toEqual([]);
  });

  test('show the run before an entity that was never asked anything', async () => {
    for (const query of ['namespace=unasked', 'namespace=unasked&phase=Failed'])
      expect((await list(query)).machines).toMatchObject([{ name: 'left', phase: 'Failed' }]);
    expect((await list('namespace=unasked&phase=Onboarding')).machines).toEqual([]);
  });

  test('refuse a page token that was changed on its way', async () => {
    const { nextPageToken = '' } = await list('namespace=lists&pageSize=2');
    const middle = nextPageToken.length / 2;
    const changed = [
      `${nextPageToken.slice(0, middle)}${nextPageToken[middle] === 'A' ? 'B' : 'A'}${nextPageToken.slice(middle + 1)}`,
      nextPageToken.slice(0, -4),
    ];
    for (const token of changed) {
      const { status, body } = await api.call<Problem>(
        'GET',
        `/v1/machines?namespace=lists&pageSize=2&pageToken=${token}`,
      );
      expect({ status, type: body.type }).toEqual({ status: 400, type: 'urn:meshlift:problem:invalid-page-token' });
    }
  });

  test('refuse the page token of another filter', async () => {
    const { nextPageToken } = await list('namespace=lists&pageSize=2');
    const { status } = await api.call('GET', `/v1/machines?namespace=elsewhere&pageToken=${nextPageToken ?? ''}`);
    expect(status).toBe(400);
  });
});

describe('what needs a worker', () => {
  const request = {
    name: 'orders-1',
    namespace: 'calls',
    workloadGroup: 'orders',
    host: { address: '127.0.0.1', user: 'ops', credentialsName: 'none', hostKey: { trustOnFirstUse: true } },
  };

  const unheard = { ...request, name: 'unheard-1' };

  test.each([
    ['POST', '/v1/machines', request],
    ['POST', '/v1/machines?validateOnly=true', request],
    ['POST', '/v1/machines?validateOnly=true', unheard],
    ['GET', '/v1/machines/lists/again', undefined],
    ['DELETE', '/v1/machines/lists/again', undefined],
  ])(
    '%s %s is answered with 503 and when to come back, within 5 s',
    async (method, path, body) => {
      const startedAt = performance.now();
      const answer = await api.call<Problem>(method, path, body);
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect({ status: answer.status, type: answer.body.type }).toEqual({
        status: 503,
        type: 'urn:meshlift:problem:no-worker',
      });
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    },
    20_000,
  );

  test('leaves no plan behind that a later worker would run', async () => {
    await api.call('POST', '/v1/machines?validateOnly=true', unheard);
    const plans = async (status: string): Promise<number> =>
      (await temporal.workflow.count(`WorkflowType = 'planMachine' AND ExecutionStatus = '${status}'`)).count;
    await eventually(
      'the plan is ended',
      async () => (await plans('Terminated')) > 0 && (await plans('Running')) === 0,
    );
    expect(await plans('Running')).toBe(0);
  }, 20_000);

  test('says so to each of several callers at once, of whose queries the workflow keeps one', async () => {
    const asked = Array.from({ length: 5 }, () => api.call('GET', '/v1/machines/lists/again'));
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([503, 503, 503, 503, 503]);
  });

  test('says so as well where the end of the call is the word of the server, whose clock was first', async () => {
    const { temporalAddress } = await sandboxEnv();
    const own = connectTemporal({ connection: { address: temporalAddress }, namespace });
    const cancelled = Object.assign(new Error('1 CANCELLED: Call cancelled'), { code: 1, details: '', metadata: {} });
    const answer = own.inTime(() => Promise.reject(new Error('Failed to query Workflow', { cause: cancelled })));
    await expect(answer).rejects.toMatchObject({ problemType: 'no-worker' });
    await own.close();
  }, 20_000);
});

describe('a cancel', () => {
  const startOperation = async (verb: 'onboard' | 'offboard', memo: object): Promise<string> => {
    const id = `${verb}-shop-orders-1-${ulid()}`;
    await temporal.workflow.start(`${verb}Machine`, {
      workflowId: id,
      taskQueue: 'nobody',
      args: [],
      memo: { ...memo },
    });
    return id;
  };

  test.each([
    ['onboard', {}],
    ['offboard', { isCancellable: true }],
  ] as const)('of an %s operation that says %j is taken on', async (verb, memo) => {
    const id = await startOperation(verb, memo);
    const { status, headers } = await api.call('POST', `/v1/operations/${id}/cancel`);
    expect({ status, location: headers.get('location') }).toEqual({ status: 202, location: `/v1/operations/${id}` });
  });

  test.each([
    ['onboard', /is being undone/],
    ['offboard', /only goes forward/],
  ] as const)('of an %s operation that is past stopping is refused, and says why', async (verb, why) => {
    const id = await startOperation(verb, { isCancellable: false });
    const { status, body } = await api.call<Problem>('POST', `/v1/operations/${id}/cancel`);
    expect({ status, type: body.type }).toEqual({
      status: 409,
      type: 'urn:meshlift:problem:operation-not-cancellable',
    });
    expect(body.detail).toMatch(why);
  });
});

test('what does not exist is not found', async () => {
  const id = 'onboard-shop-orders-1-01JZ0000000000000000000000';
  expect((await api.call('GET', '/v1/machines/shop/never')).status).toBe(404);
  expect((await api.call('DELETE', '/v1/machines/shop/never')).status).toBe(404);
  expect((await api.call('GET', `/v1/operations/${id}`)).status).toBe(404);
  expect((await api.call('POST', `/v1/operations/${id}/cancel`)).status).toBe(404);
  expect((await api.call<OperationList>('GET', '/v1/operations?namespace=shop')).body.operations).toEqual([]);
});
