import { expect, test } from '@jest/globals';

import { accessOf } from '../../api/route-access.ts';
import { possibleTargets } from '../../api/operation-of-machine.ts';

const machine = '/v1/machines/:namespace/:name';
const operation = '/v1/operations/:id';

test.each([
  ['GET', '/v1/machines', 'list', 'machines', 'query'],
  ['POST', '/v1/machines', 'create', 'machines', 'body'],
  ['GET', machine, 'get', 'machines', 'path'],
  ['HEAD', machine, 'get', 'machines', 'path'],
  ['PATCH', machine, 'patch', 'machines', 'path'],
  ['DELETE', machine, 'delete', 'machines', 'path'],
  ['POST', `${machine}/drain`, 'update', 'machines', 'path'],
  ['POST', `${machine}/restart-proxy`, 'update', 'machines', 'path'],
  ['GET', '/v1/migrations', 'list', 'migrations', 'query'],
  ['POST', '/v1/migrations', 'create', 'migrations', 'body'],
  ['GET', '/v1/migrations/:namespace/:name', 'get', 'migrations', 'path'],
])('%s %s needs %s on %s in the namespace of the %s', (method, url, verb, resource, namespace) => {
  expect(accessOf(method, url)).toEqual({ verb, resource, namespace });
});

test.each([
  ['GET', '/v1/operations', 'list', 'query'],
  ['GET', operation, 'get', 'operation'],
  ['GET', `${operation}/events`, 'get', 'operation'],
  ['POST', `${operation}/cancel`, 'update', 'operation'],
  ['POST', `${operation}/rollback`, 'update', 'operation'],
])('%s %s needs %s on what the operation is of, in the namespace of the %s', (method, url, verb, namespace) => {
  expect(accessOf(method, url)).toEqual({ verb, namespace });
});

test.each([
  ['PUT', machine],
  ['GET', '/v1/upgrades'],
  ['DELETE', '/v1/machines'],
  ['GET', '/v1/machinesque/:namespace/:name'],
])('%s %s cannot be a route before somebody says who may call it', (method, url) => {
  expect(() => accessOf(method, url)).toThrow(/Nothing says who may call/);
});

test('an operation id may name every machine that its hyphens allow, and no other', () => {
  const id = 'restart-proxy-team-a-orders-1-01JZ0000000000000000000000';
  expect(possibleTargets(id).map(({ namespace, name }) => `${namespace}/${name}`)).toEqual([
    'team/a-orders-1',
    'team-a/orders-1',
    'team-a-orders/1',
  ]);
  expect(possibleTargets('migrate.team-a.orders-to-pods')).toEqual([{ namespace: 'team-a', name: 'orders-to-pods' }]);
  expect(possibleTargets('machine-shop-orders-01JZ0000000000000000000000')).toEqual([]);
});
