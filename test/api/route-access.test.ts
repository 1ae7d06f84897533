import { expect, test } from '@jest/globals';

import { accessOf } from '../../api/route-access.ts';
import { possibleTargets } from '../../api/operation-of-machine.ts';

const machine = '/v1/machines/:namespace/:name';
const operation = '/v1/operations/:id';

test.each([
  ['GET', '/v1/machines', 'list', 'query'],
  ['POST', '/v1/machines', 'create', 'body'],
  ['GET', machine, 'get', 'path'],
  ['HEAD', machine, 'get', 'path'],
  ['PATCH', machine, 'patch', 'path'],
  ['DELETE', machine, 'delete', 'path'],
  ['POST', `${machine}/drain`, 'update', 'path'],
  ['POST', `${machine}/restart-proxy`, 'update', 'path'],
  ['GET', '/v1/operations', 'list', 'query'],
  ['GET', operation, 'get', 'operation'],
  ['GET', `${operation}/events`, 'get', 'operation'],
  ['POST', `${operation}/cancel`, 'update', 'operation'],
])('%s %s needs %s in the namespace of the %s', (method, url, verb, namespace) => {
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
  expect(possibleTargets('machine-shop-orders-01JZ0000000000000000000000')).toEqual([]);
});
