/** Who may do what, asked of the real API server: tokens of two namespaces, and an API that has the cluster say what they may. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Problem } from '../../api/schemas/common.ts';
import type { MachineList, OnboardMachine } from '../../api/schemas/machine.ts';
import type { Operation, OperationList } from '../../api/schemas/operation.ts';
import type { Answer } from '../../demo/api-client.ts';
import { eventually } from '../../demo/eventually.ts';
import { makeCallers, tokenOf } from '../support/callers.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';

type Call = <T>(method: string, path: string, body?: unknown) => Promise<Answer<T>>;

let platform: Platform;
let ours: TestNamespace;
let theirs: TestNamespace;
let owner: Call;
let reader: Call;
let stranger: Call;
let both: Call;
let ourOperation: Operation;
let theirOperation: Operation;

const everything = ['get', 'list', 'create', 'update', 'patch', 'delete'];

/** No HostPolicy names these namespaces: each onboarding ends at once, having touched nothing, and is there to be read. */
const request = (namespace: string): OnboardMachine => ({
  name: 'orders-1',
  namespace,
  workloadGroup: 'orders',
  workload: {},
  host: { address: '192.0.2.10', user: 'ops', credentialsName: 'fleet', hostKey: { trustOnFirstUse: true } },
});

const callAs =
  (token: string): Call =>
  async (method, path, body) =>
    await platform.api.call(method, path, body, { authorization: `Bearer ${token}` });

/** An answer without what the caller said themselves: what is left must not depend on whether the thing is there. */
const told = ({ status, body }: Answer<unknown>, ...said: readonly string[]) => ({
  status,
  body: said.reduce((text, word) => text.replaceAll(word, '?'), JSON.stringify(body)),
});

beforeAll(async () => {
  [platform, ours, theirs] = await Promise.all([
    startPlatform({ apiEnv: { MESHLIFT_AUTH: 'cluster' } }),
    testNamespace('ours'),
    testNamespace('theirs'),
  ]);
  const namespace = ours.name;
  await makeCallers([
    { name: 'owner', namespace, verbs: everything },
    { name: 'reader', namespace, verbs: ['get', 'list'] },
    { name: 'both', namespace, verbs: ['get', 'list'], places: [ours.name, theirs.name] },
    { name: 'stranger', namespace: theirs.name, verbs: everything },
  ]);
  [owner, reader, both, stranger] = (await Promise.all(
    [
      [namespace, 'owner'],
      [namespace, 'reader'],
      [namespace, 'both'],
      [theirs.name, 'stranger'],
    ].map(async ([place = '', name = '']) => callAs(await tokenOf(place, name))),
  )) as [Call, Call, Call, Call];
  const onboard = async (call: Call, place: string): Promise<Operation> => {
    const accepted = await call<Operation>('POST', '/v1/machines', request(place));
    expect(accepted.status).toBe(202);
    let operation = accepted.body;
    await eventually(`the onboarding in ${place} ends`, async () => {
      operation = (await call<Operation>('GET', `/v1/operations/${operation.id}`)).body;
      return operation.phase === 'Failed';
    });
    return operation;
  };
  [ourOperation, theirOperation] = await Promise.all([onboard(owner, ours.name), onboard(stranger, theirs.name)]);
}, 180_000);

afterAll(async () => {
  await platform.stop();
  await Promise.all([ours.remove(), theirs.remove()]);
}, 60_000);

describe('a call without a good token', () => {
  test.each(['/livez', '/readyz', '/openapi.json', '/docs'])('%s is open', async (path) => {
    const { status } = await fetch(`${platform.env.meshliftApi}${path}`);
    expect(status).toBe(200);
  });

  test('is answered alike, whatever it asks for', async () => {
    const other = await tokenOf(ours.name, 'owner', 'somebody-else');
    const calls = [
      await platform.api.call<Problem>('GET', `/v1/machines/${ours.name}/orders-1`),
      await platform.api.call<Problem>('GET', '/v1/operations/none'),
      await platform.api.call<Problem>('POST', '/v1/machines', { no: 'machine' }),
      await callAs('nonsense')<Problem>('GET', '/v1/machines'),
      await callAs(other)<Problem>('GET', '/v1/machines'),
    ];
    expect(new Set(calls.map((answer) => JSON.stringify(told(answer)))).size).toBe(1);
    expect(calls[0]).toMatchObject({ status: 401, body: { type: 'urn:meshlift:problem:unauthenticated' } });
    expect(calls[0]?.headers.get('www-authenticate')).toBe('Bearer');
  }, 30_000);
});

describe('the owner of one namespace', () => {
  test('reads and changes there', async () => {
    const machine = `/v1/machines/${ours.name}/orders-1`;
    expect(await owner('GET', machine)).toMatchObject({ status: 200, body: { phase: 'Failed' } });
    expect(ourOperation.conditions.map(({ type, status }) => `${type} ${status}`)).toContain('HostAllowed False');
    expect((await owner('PATCH', machine, { floor: 2 })).status).not.toBe(403);
  });

  test('does nothing in the other, and learns nothing of it', async () => {
    const there = `/v1/machines/${theirs.name}`;
    const calls: readonly (readonly [string, string, unknown?])[] = [
      ['GET', ''],
      ['PATCH', '', { floor: 2 }],
      ['DELETE', ''],
      ['DELETE', '?validateOnly=true'],
      ['POST', '/drain', {}],
      ['POST', '/enforce', { mode: 'enforce' }],
    ];
    for (const [method, rest, body] of calls) {
      const [known, unknown] = await Promise.all([
        owner<Problem>(method, `${there}/orders-1${rest}`, body),
        owner<Problem>(method, `${there}/nothing-1${rest}`, body),
      ]);
      expect(known).toMatchObject({ status: 403, body: { type: 'urn:meshlift:problem:forbidden' } });
      expect(told(known)).toEqual(told(unknown));
    }
    const [there1, nowhere] = await Promise.all([
      owner<Problem>('POST', '/v1/machines', request(theirs.name)),
      owner<Problem>('POST', '/v1/machines?validateOnly=true', request('no-such-namespace')),
    ]);
    expect(there1.status).toBe(403);
    expect(told(there1, theirs.name)).toEqual(told(nowhere, 'no-such-namespace'));
    expect((await stranger<Operation>('GET', `${there}/orders-1`)).body).toMatchObject({ phase: 'Failed' });
  }, 60_000);

  test("gets for the other's operation the answer for one that never was: read, followed or cancelled", async () => {
    const never = `${theirOperation.id.slice(0, -26)}01JZ0000000000000000000000`;
    for (const [method, rest] of [
      ['GET', ''],
      ['GET', '/events'],
      ['POST', '/cancel'],
    ] as const) {
      const [known, unknown] = await Promise.all(
        [theirOperation.id, never].map(async (id) => told(await owner(method, `/v1/operations/${id}${rest}`), id)),
      );
      expect(known?.status).toBe(404);
      expect(known).toEqual(unknown);
    }
    expect((await owner('GET', `/v1/operations/${ourOperation.id}`)).status).toBe(200);
    expect((await owner('POST', `/v1/operations/${ourOperation.id}/cancel`)).status).toBe(409);
  }, 60_000);
});

test('who may only read changes nothing', async () => {
  const machine = `/v1/machines/${ours.name}/orders-1`;
  expect((await reader('GET', machine)).status).toBe(200);
  expect((await reader('GET', `/v1/operations/${ourOperation.id}`)).status).toBe(200);
  const refused = await Promise.all([
    reader('DELETE', machine),
    reader('PATCH', machine, { floor: 2 }),
    reader('POST', `${machine}/drain`, {}),
    reader('POST', '/v1/machines', request(ours.name)),
    reader('POST', `/v1/operations/${ourOperation.id}/cancel`),
  ]);
  expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
});

describe('lists', () => {
  const machines = async (call: Call, query = ''): Promise<string[]> => {
    const seen: string[] = [];
    for (let token: string | undefined, first = true; first || token !== undefined; first = false) {
      const page = token === undefined ? '' : `&pageToken=${token}`;
      const { status, body } = await call<MachineList>('GET', `/v1/machines?pageSize=1${query}${page}`);
      expect(status).toBe(200);
      seen.push(...body.machines.map(({ namespace }) => namespace));
      token = body.nextPageToken;
    }
    return seen.sort();
  };
  const operations = async (call: Call): Promise<string[]> =>
    (await call<OperationList>('GET', '/v1/operations')).body.operations.map(({ id }) => id).sort();

  test('show what the caller may list, and no more, page by page', async () => {
    await eventually('both machines are listed', async () => (await machines(both)).length === 2);
    expect(await machines(both)).toEqual([ours.name, theirs.name].sort());
    expect(await machines(owner)).toEqual([ours.name]);
    expect(await machines(stranger)).toEqual([theirs.name]);
    expect(await operations(owner)).toEqual([ourOperation.id]);
    expect(await operations(both)).toEqual([ourOperation.id, theirOperation.id].sort());
  }, 60_000);

  test('of one namespace are for those who may list there', async () => {
    expect(await machines(owner, `&namespace=${ours.name}`)).toEqual([ours.name]);
    expect((await owner('GET', `/v1/machines?namespace=${theirs.name}`)).status).toBe(403);
    expect((await owner('GET', `/v1/operations?namespace=${theirs.name}`)).status).toBe(403);
  });
});

test('a right that is taken away is gone within seconds', async () => {
  expect((await both('GET', `/v1/machines/${theirs.name}/orders-1`)).status).toBe(200);
  await command('kubectl', '-n', theirs.name, 'delete', 'rolebinding', 'both');
  await eventually(
    'the caller is refused',
    async () => (await both('GET', `/v1/machines/${theirs.name}/orders-1`)).status === 403,
    20_000,
  );
}, 60_000);
