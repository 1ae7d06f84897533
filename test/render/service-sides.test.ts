/** What a migration owns where the selector of its Service keeps the sides apart. */
import { describe, expect, test } from '@jest/globals';

import type { GatewayRoute } from '../../activities/ports/cutover-port.ts';
import { renderGatewayRoute, renderRoutes, withoutSides } from '../../activities/render/cutover-routes.ts';
import { renderGuard, renderSides, selectedAt, selectorOf } from '../../activities/render/service-sides.ts';
import { cutoverTarget, selectorTarget } from '../support/cutover-target.ts';

const target = selectorTarget;
const { host } = target;
const podsHost = 'meshlift-orders.shop.svc.cluster.local';

test('each side has a Service of its own, like the one that it is of', () => {
  const side = (name: string, selector: object) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...{ name, namespace: 'shop', annotations: { 'networking.istio.io/exportTo': '*' } },
      labels: {
        'app.kubernetes.io/managed-by': 'meshlift',
        'meshlift.dev/migration': 'orders',
        'istio.io.meshlift.dev/push': 'run.1',
      },
    },
    spec: { ports: [{ name: 'http', port: 80, targetPort: 8080 }], selector },
  });
  expect(renderSides(target, 'run.1')).toEqual([
    side('meshlift-orders-machines', { app: 'orders', 'meshlift.dev/workload-group': 'orders' }),
    side('meshlift-orders', { app: 'orders', version: 'v2' }),
  ]);
});

test.each([
  [0, 'machines', { app: 'orders', 'meshlift.dev/workload-group': 'orders' }],
  [99, 'machines', { app: 'orders', 'meshlift.dev/workload-group': 'orders' }],
  [100, 'pods', { app: 'orders', version: 'v2' }],
] as const)('at %i%% the Service selects %s', (weight, selected, selector) => {
  expect(selectedAt(weight)).toBe(selected);
  expect(selectorOf(target, selected)).toEqual(selector);
});

test('between the two it selects what its owner wrote', () => {
  expect(selectorOf(target, 'both')).toEqual({ app: 'orders' });
});

test('nothing of it is there where routes guard the Service', () => {
  expect(renderSides(cutoverTarget, 'run.1')).toEqual([]);
  expect(selectorOf(cutoverTarget, 'machines')).toBeUndefined();
  expect(renderGuard(cutoverTarget, 0, '').map(({ kind }) => kind)).toEqual(['DestinationRule', 'VirtualService']);
});

test('the routes share between the Service and that of the pods', () => {
  expect(renderRoutes(target, 20, 'run.1').spec).toEqual({
    hosts: [host],
    http: [
      {
        name: 'meshlift-smoke',
        match: [{ headers: { 'x-meshlift-target': { exact: 'kubernetes' } } }],
        route: [{ destination: { host: podsHost } }],
      },
      {
        name: 'meshlift-cutover',
        route: [
          { destination: { host }, weight: 80 },
          { destination: { host: podsHost }, weight: 20 },
        ],
      },
    ],
  });
});

test.each([
  [
    ['http', 'tcp'],
    ['Service', 'Service', 'VirtualService'],
  ],
  [['tcp'], ['Service', 'Service']],
] as const)('of ports that speak %s it owns %s, and no route of TCP', (protocols, kinds) => {
  const ports = protocols.map((protocol, index) => ({ port: 80 + index, protocol }));
  const guard = renderGuard({ ...target, ports }, 100, '');
  expect(guard.map(({ kind }) => kind)).toEqual(kinds);
  expect(guard.filter(({ spec }) => Object.keys(spec as object).includes('tcp'))).toEqual([]);
});

describe('a route of a gateway', () => {
  const route = (...destinations: GatewayRoute['destinations']): GatewayRoute => ({
    ...{ namespace: 'shop', virtualService: 'edge', route: 'orders', destinations },
  });
  const port = { number: 80 };

  test('follows, with its port, and keeps what its owner says of machines', () => {
    const blue = { destination: { host: 'orders', subset: 'blue', port } };
    expect(renderGatewayRoute(route(blue), target, 25).destinations).toEqual([
      { destination: { host, subset: 'blue', port }, weight: 75 },
      { destination: { host: podsHost, port }, weight: 25 },
    ]);
  });

  test.each<[string, GatewayRoute]>([
    ['all of it', route({ destination: { host, port } })],
    ['a share', route({ destination: { host }, weight: 70 }, { destination: { host: 'other.shop' }, weight: 30 })],
    [
      'shares of subsets of others',
      route(
        { destination: { host, subset: 'blue' }, weight: 40 },
        { destination: { host, subset: 'green' }, weight: 60 },
      ),
    ],
  ])('that a run before has left is read as it was before: %s', (_, before) => {
    expect(withoutSides(before, target)).toEqual(before);
    for (const weight of [0, 35, 100]) {
      expect(withoutSides(renderGatewayRoute(before, target, weight), target)).toEqual(before);
    }
  });
});
