/** The guard of /v1 alone, around one route, with answers that change while a request is open, as they do under a stream. */
import { expect, test } from '@jest/globals';
import Fastify from 'fastify';

import type { AccessPort, AccessQuestion } from '../../activities/ports/access-port.ts';
import { answerProblems } from '../../api/answer-problems.ts';
import { authorise } from '../../api/authorise.ts';
import { readApiConfig } from '../../api/config.ts';
import type { Problem } from '../../api/schemas/common.ts';
import { connectTemporal } from '../../api/temporal.ts';
import { CLOSED_PORT } from '../support/listening-api.ts';

const yes: AccessPort = {
  authenticate: () => Promise.resolve({ username: 'ann', groups: [] }),
  allows: () => Promise.resolve(true),
  listNamespaces: () => Promise.resolve([]),
};
const gone = (): Promise<never> => Promise.reject(new Error('no answer'));

/** What a stream gets when it asks again, after the cluster has changed its mind. */
async function askedAgain(later: Partial<AccessPort>): Promise<Partial<Problem>> {
  const { temporal: settings } = readApiConfig({ TEMPORAL_ADDRESS: CLOSED_PORT });
  const temporal = connectTemporal(settings);
  let access: AccessPort = yes;
  const asNow: AccessPort = {
    authenticate: (token) => access.authenticate(token),
    allows: (caller, question) => access.allows(caller, question),
    listNamespaces: () => access.listNamespaces(),
  };
  const app = Fastify();
  answerProblems(app);
  authorise(app, { access: asNow, temporal });
  app.get('/v1/machines/:namespace/:name', async (request) => {
    access = { ...yes, ...later };
    await request.reauthorise();
    return {};
  });
  try {
    const answer = await app.inject({ url: '/v1/machines/shop/orders-1', headers: { authorization: 'Bearer t' } });
    return answer.json<Partial<Problem>>();
  } finally {
    await app.close();
    await temporal.close();
  }
}

test.each([
  ['goes on while the caller may', {}, undefined],
  ['ends when the token is no longer good', { authenticate: () => Promise.resolve(undefined) }, 'unauthenticated'],
  ['ends when the right is gone', { allows: () => Promise.resolve(false) }, 'forbidden'],
  ['ends when nobody can be asked who calls', { authenticate: gone }, 'access-unavailable'],
  ['ends when nobody can be asked what they may', { allows: gone }, 'access-unavailable'],
])('a stream %s', async (_title, later, type) => {
  const { type: found } = await askedAgain(later);
  expect(found).toBe(type && `urn:meshlift:problem:${type}`);
});

test('a route that nothing is said of cannot be added', () => {
  const app = Fastify();
  const { temporal: settings } = readApiConfig({ TEMPORAL_ADDRESS: CLOSED_PORT });
  authorise(app, { access: yes, temporal: connectTemporal(settings) });
  expect(() => app.get('/v1/secrets', () => ({}))).toThrow(/Nothing says who may call GET \/v1\/secrets/);
});

const allowedIn =
  (...namespaces: string[]) =>
  ({ namespace = '', group = 'meshlift.dev' }: AccessQuestion): boolean =>
    group === 'meshlift.dev' && namespaces.includes(namespace);
const may =
  (...resources: string[]) =>
  ({ namespace, verb, group = 'meshlift.dev', resource }: AccessQuestion): boolean =>
    namespace === 'shop' && resources.includes(`${verb} ${resource}.${group}`);
const all = (resource: string): string[] => ['create', 'patch', 'delete'].map((verb) => `${verb} ${resource}`);
const routed = (namespace?: string) => ({ ownGatewayRoutes: [namespace === undefined ? {} : { namespace }] });
const brought = { target: { manifests: [{ kind: 'Deployment' }, { kind: 'ConfigMap' }] } };

test.each<[string, object, (question: AccessQuestion) => boolean, number]>([
  ['its own namespace alone', routed(), allowedIn('shop'), 200],
  ['a route of another namespace', routed('bank'), allowedIn('shop'), 403],
  ['one of another that its caller may write', routed('bank'), allowedIn('shop', 'bank'), 200],
  ['manifests of kinds that its caller may not create', brought, allowedIn('shop'), 403],
  [
    'manifests of which its caller may create one kind alone',
    brought,
    may('create migrations.meshlift.dev', ...all('deployments.apps')),
    403,
  ],
  [
    'manifests that its caller may create, and not delete',
    brought,
    may('create migrations.meshlift.dev', ...all('deployments.apps'), 'create configmaps.'),
    403,
  ],
  [
    'manifests that its caller may create',
    brought,
    may('create migrations.meshlift.dev', ...all('deployments.apps'), ...all('configmaps.')),
    200,
  ],
])('a migration that names %s', async (_title, body, isAllowed, status) => {
  const { temporal: settings } = readApiConfig({ TEMPORAL_ADDRESS: CLOSED_PORT });
  const temporal = connectTemporal(settings);
  const access: AccessPort = { ...yes, allows: (_caller, question) => Promise.resolve(isAllowed(question)) };
  const app = Fastify();
  answerProblems(app);
  authorise(app, { access, temporal });
  app.post('/v1/migrations', () => ({}));
  try {
    const payload = { namespace: 'shop', ...body };
    const headers = { authorization: 'Bearer t' };
    expect((await app.inject({ method: 'POST', url: '/v1/migrations', headers, payload })).statusCode).toBe(status);
  } finally {
    await app.close();
    await temporal.close();
  }
});
