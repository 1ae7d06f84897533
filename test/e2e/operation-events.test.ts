/** What a caller sees of one machine through the API: its operation as a stream that resumes, plans of each verb, and changes by version. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Problem } from '../../api/schemas/common.ts';
import type { Intent, Machine, Plan } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

let platform: Platform;
let machine: SandboxMachine;
let path: string;

beforeAll(async () => {
  platform = await startPlatform();
  machine = await platform.machine('events', 'shop');
  path = `/v1/machines/shop/${machine.name}`;
}, 180_000);

afterAll(async () => {
  await platform.stop();
}, 60_000);

interface Seen {
  readonly id: number;
  readonly operation: Operation;
}

/** Follows the stream until it ends, or until the caller has seen enough and leaves. */
async function follow(id: string, lastEventId?: number, isEnough: (seen: Seen) => boolean = () => false) {
  const left = new AbortController();
  const response = await fetch(`${platform.env.meshliftApi}/v1/operations/${id}/events`, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) },
    signal: left.signal,
  });
  const seen: Seen[] = [];
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) {
      const [, revision, data] = /^id: (\d+)\nevent: operation\ndata: (.*)$/m.exec(event) ?? [];
      if (data !== undefined) seen.push({ id: Number(revision), operation: JSON.parse(data) as Operation });
    }
    const last = seen.at(-1);
    if (last !== undefined && isEnough(last)) break;
  }
  left.abort();
  return { status: response.status, type: response.headers.get('content-type'), seen };
}

const plan = async (method: string, verb: string, body?: unknown): Promise<Plan> => {
  const answer = await platform.api.call<Plan>(method, `${path}${verb}`, body);
  expect(answer.status).toBe(200);
  return answer.body;
};

test('an onboarding is told as it goes on, also to a caller who was away', async () => {
  const { id } = await platform.api.onboard(onboardRequest(platform.env, machine, machine.name));
  const first = await follow(id, undefined, ({ operation }) =>
    operation.steps.some(({ phase }) => phase === 'Succeeded'),
  );
  expect({ status: first.status, type: first.type }).toEqual({ status: 200, type: 'text/event-stream' });
  const lastEventId = first.seen.at(-1)?.id ?? 0;
  // Another caller follows at the same time, and the one who left comes back.
  const [rest, whole] = await Promise.all([follow(id, lastEventId), follow(id)]);

  for (const { seen } of [rest, whole]) {
    const ids = seen.map((event) => event.id);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    expect(seen.at(-1)?.operation).toMatchObject({ id, phase: 'Succeeded', target: { name: machine.name } });
    expect(seen.length).toBeGreaterThan(1);
  }
  expect(rest.seen[0]?.id).toBeGreaterThan(lastEventId);
  expect(rest.seen.at(-1)).toEqual(whole.seen.at(-1));

  const over = await follow(id, whole.seen.at(-1)?.id);
  expect(over).toMatchObject({ status: 204, seen: [] });
}, 240_000);

test('a change is made for a version, and only for that', async () => {
  const read = await platform.api.call<Machine>('GET', path);
  const etag = read.headers.get('etag') ?? '';
  expect(etag).toBe(`"${read.body.version}"`);

  const intent = { kind: 'temporary', until: '2027-06-30T00:00:00Z' };
  const changed = await platform.api.call<Machine>('PATCH', path, { floor: 2, intent }, { 'if-match': etag });
  expect({ status: changed.status, body: changed.body }).toMatchObject({
    status: 200,
    body: { floor: 2, intent, version: read.body.version + 1 },
  });
  const late = await platform.api.call<Problem>('PATCH', path, { floor: 3 }, { 'if-match': etag });
  expect({ status: late.status, type: late.body.type }).toEqual({
    status: 412,
    type: 'urn:meshlift:problem:version-differs',
  });

  const again = await platform.api.call<Machine>('PATCH', path, { floor: 2 });
  expect(again.headers.get('etag')).toBe(changed.headers.get('etag'));
  expect(await platform.api.machine('shop', machine.name)).toMatchObject({ floor: 2, intent });
  const elsewhere = await platform.api.call('PATCH', '/v1/machines/shop/nobody', { floor: 2 });
  expect(elsewhere.status).toBe(404);
}, 30_000);

test('a machine that was to be in the mesh until a date says so once it has passed, and no more once that has moved', async () => {
  const overdue = async () =>
    (await platform.api.machine('shop', machine.name)).conditions.find(({ type }) => type === 'TemporaryOverdue');
  const until = new Date(Date.now() + 3_000).toISOString();
  const patch = async (intent: Intent): Promise<number> =>
    (await platform.api.call<Machine>('PATCH', path, { intent })).status;
  expect(await patch({ kind: 'temporary', until })).toBe(200);
  expect(await overdue()).toBeUndefined();
  // Nobody asks anything of the machine meanwhile but what it is.
  await eventually('the date has passed', async () => (await overdue()) !== undefined, 20_000);
  const found = await overdue();
  expect(found).toMatchObject({ status: 'True', category: 'Advisory', reason: 'DatePassed' });
  expect(found?.message).toContain(until);
  expect(Date.parse(found?.lastTransitionTime ?? '')).toBeGreaterThanOrEqual(Date.parse(until));
  expect(await patch({ kind: 'longTerm' })).toBe(200);
  expect(await overdue()).toBeUndefined();
}, 60_000);

test('each verb shows what it would do, and touches nothing', async () => {
  const before = await platform.api.machine('shop', machine.name);
  const [drain, undrain, restart, enforce, offboard, forced] = await Promise.all([
    plan('POST', '/drain?validateOnly=true', {}),
    plan('POST', '/undrain?validateOnly=true', {}),
    plan('POST', '/restart-proxy?validateOnly=true', {}),
    plan('POST', '/enforce?validateOnly=true', { mode: 'enforce' }),
    plan('DELETE', '?validateOnly=true'),
    plan('DELETE', '?validateOnly=true&force=true'),
  ]);
  const steps = ({ steps: found }: Plan): string[] => found.map(({ name }) => name);
  expect(steps(drain)).toContain('drainWorkloadEntry');
  expect(steps(undrain)).toEqual([]);
  expect(steps(restart)).toContain('restartProxy');
  expect(steps(enforce)).toContain('applyPolicies');
  expect(enforce.objects.map(({ kind }) => kind)).toContain('AuthorizationPolicy');
  expect(steps(offboard)).toEqual(expect.arrayContaining(['stopProxy', 'restoreMachine', 'removeClusterObjects']));
  expect(offboard.objects.map(({ kind }) => kind)).toContain('Sidecar');
  expect(steps(forced)).not.toContain('stopProxy');
  expect(forced.conditions.map(({ type }) => type)).toContain('MachineRestored');
  expect(await platform.api.machine('shop', machine.name)).toEqual(before);
}, 90_000);

test.each(['enforce', 'drain', 'undrain', 'restart-proxy'])(
  '%s of a machine that is not there is not found',
  async (verb) => {
    const body = verb === 'enforce' ? { mode: 'observe' } : {};
    for (const query of ['', '?validateOnly=true']) {
      const { status } = await platform.api.call('POST', `/v1/machines/shop/nobody/${verb}${query}`, body);
      expect(status).toBe(404);
    }
  },
  30_000,
);

test('an offboarding is told to its end', async () => {
  const { id } = await platform.api.offboard('shop', machine.name);
  const { seen } = await follow(id);
  expect(seen.at(-1)?.operation.phase).toBe('Succeeded');
  expect((await platform.api.machine('shop', machine.name)).phase).toBe('Offboarded');
}, 180_000);
