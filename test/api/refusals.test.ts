/** What the API refuses by itself, before Temporal is asked anything: it is given a Temporal that is not there. */
import { request as httpRequest } from 'node:http';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Problem } from '../../api/schemas/common.ts';
import { CLOSED_PORT, listeningApi } from '../support/listening-api.ts';
import type { ListeningApi } from '../support/listening-api.ts';

let api: ListeningApi;
beforeAll(async () => {
  api = await listeningApi(CLOSED_PORT);
});
afterAll(async () => {
  await api.close();
});

const valid = {
  name: 'orders-1',
  namespace: 'shop',
  workloadGroup: 'orders',
  host: { address: '192.0.2.10', user: 'admin', credentialsName: 'fleet', hostKey: { trustOnFirstUse: true } },
};

const migration = {
  ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
  steps: [{ weight: 100 }],
};
const made = (kind: string) => ({
  ...{ apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1', kind },
  metadata: { name: 'orders' },
});

interface Refusal {
  readonly status: number;
  readonly headers: Headers;
  readonly problem: Problem;
}

async function refusal(path: string, init?: RequestInit): Promise<Refusal> {
  const response = await fetch(`${api.url}${path}`, init);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  const problem = (await response.json()) as Problem;
  expect(problem.status).toBe(response.status);
  return { status: response.status, headers: response.headers, problem };
}

const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

/** `fetch` sets Host itself; a page that points its own name at loopback sends its own. */
const statusForHost = (host: string): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    httpRequest(`${api.url}/livez`, { headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });

describe('a body', () => {
  test.each([
    ['an unknown field', { ...valid, wrokloadGroup: 'x' }, '/wrokloadGroup', /not a known field/],
    [
      'an unknown field deep inside',
      { ...valid, host: { ...valid.host, password: 'x' } },
      '/host/password',
      /not a known field/,
    ],
    ['a missing field', { ...valid, workloadGroup: undefined }, '/workloadGroup', /required/],
    ['a number as text', { ...valid, host: { ...valid.host, port: '22' } }, '/host/port', /integer/],
    ['a name that is no DNS label', { ...valid, name: 'Orders_1' }, '/name', /pattern/],
    [
      'a malformed fingerprint',
      { ...valid, host: { ...valid.host, hostKey: { fingerprint: 'aa:bb' } } },
      '/host/hostKey/fingerprint',
      /pattern/,
    ],
    [
      'no way to know the host',
      { ...valid, host: { ...valid.host, hostKey: {} } },
      '/host/hostKey',
      /exactly one of fingerprint, knownHosts, trustOnFirstUse/,
    ],
    [
      'a label key with a space',
      { ...valid, workload: { labels: { 'a b': 'c' } } },
      '/workload/labels/a b',
      /not a known field/,
    ],
  ])('with %s is refused, and the one problem names its path', async (_what, body, path, message) => {
    const { status, problem } = await refusal('/v1/machines', post(body));
    expect(status).toBe(400);
    expect(problem.type).toBe('urn:meshlift:problem:invalid-request');
    expect(problem.errors).toEqual([{ path, message: expect.stringMatching(message) }]);
    expect(problem.detail).toContain(path);
  });

  test.each([
    ['a Secret among its manifests', [made('Secret')], '/target/manifests/0/kind', /allowed values/],
    ['a kind that it does not take', [made('Deployment'), made('Job')], '/target/manifests/1/kind', /allowed values/],
    ['no Deployment', [made('ConfigMap')], '/target/manifests', /exactly one Deployment/],
    ['two Deployments', [made('Deployment'), made('Deployment')], '/target/manifests', /exactly one Deployment/],
    ['no manifest', [], '/target/manifests', /fewer than 1/],
    ['a status', [{ ...made('Deployment'), status: {} }], '/target/manifests/0/status', /not a known field/],
  ])('of a migration with %s is refused', async (_what, manifests, path, message) => {
    const { status, problem } = await refusal('/v1/migrations', post({ ...migration, target: { manifests } }));
    expect(status).toBe(400);
    expect(problem.errors).toContainEqual({ path, message: expect.stringMatching(message) });
  });

  test('of a migration that leads nowhere is refused', async () => {
    const { problem } = await refusal('/v1/migrations', post({ ...migration, target: {} }));
    expect(problem.errors).toEqual([{ path: '/target', message: 'must hold exactly one of deployment, manifests' }]);
  });

  test.each([
    ['enforce', {}, '/mode', /required/],
    ['enforce', { mode: 'hard' }, '/mode', /./],
    ['drain', { deadlineSeconds: 0 }, '/deadlineSeconds', />= 1/],
    ['drain', { allowDisruption: 'yes' }, '/allowDisruption', /boolean/],
    ['undrain', { force: true }, '/force', /not a known field/],
    ['restart-proxy', { deadlineSeconds: 3601 }, '/deadlineSeconds', /<= 3600/],
  ])('of %s with %j is refused, and the problem names its path', async (verb, body, path, message) => {
    const { status, problem } = await refusal(`/v1/machines/shop/orders-1/${verb}`, post(body));
    expect(status).toBe(400);
    expect(problem.errors?.[0]).toEqual({ path, message: expect.stringMatching(message) });
  });

  test.each([
    ['nothing in it', {}, 400, 'invalid-request'],
    ['a field that cannot change', { workloadGroup: 'other' }, 400, 'invalid-request'],
    ['a restart window', { restart: 'window' }, 422, 'restart-window-missing'],
  ])('of a PATCH with %s is refused', async (_what, body, status, type) => {
    const refused = await refusal('/v1/machines/shop/orders-1', { ...post(body), method: 'PATCH' });
    expect({ status: refused.status, type: refused.problem.type }).toEqual({
      status,
      type: `urn:meshlift:problem:${type}`,
    });
  });

  test.each(['/v1/machines', '/v1/machines?validateOnly=true'])(
    'of POST %s with a restart window is refused: windows come later',
    async (path) => {
      const { status, problem } = await refusal(path, post({ ...valid, restart: 'window' }));
      expect(status).toBe(422);
      expect(problem.detail).toContain("'manual' or 'now'");
    },
  );

  test('that is not JSON is refused without quoting it', async () => {
    const { status, problem } = await refusal('/v1/machines', post('{"token": s3cret'));
    expect(status).toBe(400);
    expect(problem.type).toBe('urn:meshlift:problem:malformed-json');
    expect(JSON.stringify(problem)).not.toContain('s3cret');
  });

  test('larger than any valid one is refused', async () => {
    const { status, problem } = await refusal('/v1/machines', post({ ...valid, padding: 'x'.repeat(300_000) }));
    expect(status).toBe(413);
    expect(problem.type).toBe('urn:meshlift:problem:body-too-large');
  });

  test.each([
    ['POST', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000/cancel'],
    ['DELETE', '/v1/machines/shop/orders-1'],
  ])('of %s %s is refused: it takes none', async (method, path) => {
    const { status, problem } = await refusal(path, { ...post({ force: true }), method });
    expect(status).toBe(400);
    expect(problem.detail).toContain('takes no body');
  });

  test('of a type a form can send is refused', async () => {
    const { status } = await refusal('/v1/machines', post(valid, { 'content-type': 'text/plain' }));
    expect(status).toBe(415);
  });
});

describe('a query', () => {
  test.each([
    'validateOnly=yes',
    'validateOnly=',
    'validateOnly=1',
    'validateOnly=true&validateOnly=false',
    'dryRun=true',
  ])('%s is refused rather than read as true or false', async (query) => {
    const { status, problem } = await refusal(`/v1/machines?${query}`, post(valid));
    expect(status).toBe(400);
    expect(problem.type).toBe('urn:meshlift:problem:invalid-request');
  });

  test.each([
    'pageSize=0',
    'pageSize=501',
    'pageSize=ten',
    'pageSize=true',
    'pageSize=1.5',
    'phase=Gone',
    "namespace=x'%20OR%20'y",
    'limit=5',
  ])('%s of a list is refused', async (query) => {
    const { status } = await refusal(`/v1/machines?${query}`);
    expect(status).toBe(400);
  });

  test.each([
    ['DELETE', '/v1/machines/shop/orders-1?verbose=true'],
    ['GET', '/v1/machines/shop/orders-1?verbose=true'],
    ['GET', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000?verbose=true'],
    ['POST', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000/cancel?force=true'],
  ])('that %s %s does not know is refused, not ignored', async (method, path) => {
    const { status, problem } = await refusal(path, { method });
    expect(status).toBe(400);
    expect(problem.errors?.[0]?.path).toMatch(/^querystring\/(verbose|force)$/);
  });

  test.each(['/v1/operations/migrate.shop.move', '/v1/migrations/shop/move'])(
    'a run of GET %s that is none is refused',
    async (path) => {
      const { status, problem } = await refusal(`${path}?run=first`);
      expect(status).toBe(400);
      expect(problem.errors?.[0]?.path).toBe('querystring/run');
    },
  );

  test('with a page token of another list is refused', async () => {
    const { problem } = await refusal('/v1/machines?pageToken=bm90IG91cnM');
    expect(problem.type).toBe('urn:meshlift:problem:invalid-page-token');
  });
});

test('headers larger than those of any valid request are refused', async () => {
  const { status, problem } = await refusal(`/v1/machines?pageToken=${'x'.repeat(20_000)}`);
  expect(status).toBe(431);
  expect(problem.type).toBe('urn:meshlift:problem:headers-too-large');
});

test.each([
  ['is looked up', 255, 503],
  ['is refused where it is longer', 5_000, 400],
])('an id as long as any %s', async (_what, length, status) => {
  expect((await refusal(`/v1/operations/${'onboard-shop-orders-1'.padEnd(length, '0')}`)).status).toBe(status);
});

test('a call that does not exist is not found', async () => {
  expect((await refusal('/v1/machines', { method: 'QUERY' })).status).toBe(404);
  const { status, problem } = await refusal('/v1/upgrades');
  expect(status).toBe(404);
  expect(problem.type).toBe('urn:meshlift:problem:route-not-found');
});

test('an Idempotency-Key with a space is refused', async () => {
  const { problem } = await refusal('/v1/machines', post(valid, { 'idempotency-key': 'two words' }));
  expect(problem.errors?.[0]?.path).toBe('headers/idempotency-key');
});

test.each([
  ['PATCH', '/v1/machines/shop/orders-1', { 'if-match': '3' }, 'headers/if-match'],
  [
    'GET',
    '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000/events',
    { 'last-event-id': '-1' },
    'headers/last-event-id',
  ],
])('%s %s with the header %j is refused', async (method, path, headers, fault) => {
  const init = method === 'PATCH' ? post({ floor: 2 }, headers) : { headers };
  const { status, problem } = await refusal(path, { ...init, method });
  expect(status).toBe(400);
  expect(problem.errors?.[0]?.path).toBe(fault);
});

test('a page of another site is refused, whichever name it uses for loopback', async () => {
  const { status, problem } = await refusal('/v1/machines', { headers: { origin: 'https://example.com' } });
  expect(status).toBe(403);
  expect(problem.type).toBe('urn:meshlift:problem:cross-site');
  expect(await statusForHost('rebound.example.com')).toBe(403);
});

describe('without Temporal', () => {
  test('the process is live and not ready', async () => {
    const { status } = await fetch(`${api.url}/livez`);
    expect(status).toBe(200);
    const ready = await refusal('/readyz');
    expect(ready.problem.type).toBe('urn:meshlift:problem:temporal-unavailable');
  });

  test.each([
    ['onboarding', '/v1/machines', post(valid)],
    ['a plan', '/v1/machines?validateOnly=true', post(valid)],
    ['the list of machines', '/v1/machines?namespace=shop&outdated=false', undefined],
    ['a machine', '/v1/machines/shop/orders-1', undefined],
    ['a change', '/v1/machines/shop/orders-1', { ...post({ floor: 2 }), method: 'PATCH' }],
    ['a drain', '/v1/machines/shop/orders-1/drain', post({})],
    ['the plan of a drain', '/v1/machines/shop/orders-1/drain?validateOnly=true', post({})],
    ['offboarding', '/v1/machines/shop/orders-1', { method: 'DELETE' }],
    ['the plan of an offboarding', '/v1/machines/shop/orders-1?validateOnly=true', { method: 'DELETE' }],
    ['the events of an operation', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000/events', undefined],
    ['the list of operations', '/v1/operations', undefined],
    ['an operation', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000', undefined],
    ['a cancel', '/v1/operations/onboard-shop-orders-1-01JZ0000000000000000000000/cancel', { method: 'POST' }],
  ])('%s is answered within 5 s: 503, when to come back, and nothing of the inside', async (_what, path, init) => {
    const startedAt = performance.now();
    const { status, headers, problem } = await refusal(path, init);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(status).toBe(503);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    expect(problem.type).toBe('urn:meshlift:problem:temporal-unavailable');
    expect(JSON.stringify(problem)).not.toMatch(/ECONNREFUSED|127\.0\.0\.1:1\b/);
  });
});
