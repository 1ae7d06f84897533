/** What istiod says of the objects that it holds, and of where a proxy would send. */
import { describe, expect, test } from '@jest/globals';

import { heldObject, unguardedRoutes } from '../../activities/adapters/config-answers.ts';

const ref = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  namespace: 'shop',
  name: 'meshlift-orders',
};

describe('istiod', () => {
  const held = {
    kind: 'VirtualService',
    metadata: { name: 'meshlift-orders', namespace: 'shop', annotations: { push: '1' } },
  };
  test.each([
    ['holds the object with its annotations', [held], { annotations: { push: '1' } }],
    ['holds it without any', [{ ...held, metadata: { name: ref.name, namespace: 'shop' } }], { annotations: {} }],
    ['holds one of another namespace', [{ ...held, metadata: { ...held.metadata, namespace: 'bank' } }], {}],
    ['holds one of another kind', [{ ...held, kind: 'DestinationRule' }], {}],
    ['answers nothing', null, {}],
  ])('%s', (_, body, expected) => {
    expect(heldObject(body, ref)).toEqual(expected);
  });
});

const host = 'orders.shop.svc.cluster.local';
const plain = `outbound|80||${host}`;
const clusters = new Set([plain]);
const routes = (...list: unknown[]) => ({
  configs: [
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump',
      dynamicRouteConfigs: list.map((route) => ({
        routeConfig: { name: '80', virtualHosts: [{ name: `${host}:80`, routes: [{ route }] }] },
      })),
    },
  ],
});
const listener = (config: unknown) => ({
  configs: [
    {
      dynamicListeners: [
        {
          activeState: { listener: { name: '10.96.0.9_7070', filterChains: [{ filters: [{ typedConfig: config }] }] } },
        },
      ],
    },
  ],
});

describe('a proxy goes past the guard by', () => {
  test.each<[string, unknown, string[]]>([
    ['a route to the Service as a whole', routes({ cluster: plain }), ['80']],
    ['a share of a route', routes({ weightedClusters: { clusters: [{ name: plain, weight: 5 }] } }), ['80']],
    ['a listener of TCP', listener({ cluster: plain, statPrefix: plain }), ['10.96.0.9_7070']],
  ])('%s', (_, dump, by) => {
    expect(unguardedRoutes(dump, clusters)).toEqual(by);
  });

  test.each<[string, unknown]>([
    ['a route to its machines', routes({ cluster: `outbound|80|machines|${host}` })],
    ['a share of nothing', routes({ weightedClusters: { clusters: [{ name: plain, weight: 0 }] } })],
    [
      'a listener that only counts under its name',
      listener({ cluster: `outbound|7070|machines|${host}`, statPrefix: plain }),
    ],
    ['a route to another Service', routes({ cluster: 'outbound|80||payments.shop.svc.cluster.local' })],
    ['an answer without configuration', {}],
  ])('not by %s', (_, dump) => {
    expect(unguardedRoutes(dump, clusters)).toEqual([]);
  });
});
