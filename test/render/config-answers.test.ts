/** What istiod says of the objects that it holds, and of where a proxy would send. */
import { describe, expect, test } from '@jest/globals';

import { heldObject, heldService, unguardedRoutes } from '../../activities/adapters/config-answers.ts';

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
    ['holds the object with its annotations', [held], { marks: { push: '1' } }],
    ['holds it without any', [{ ...held, metadata: { name: ref.name, namespace: 'shop' } }], { marks: {} }],
    ['holds one of another namespace', [{ ...held, metadata: { ...held.metadata, namespace: 'bank' } }], {}],
    ['holds one of another kind', [{ ...held, kind: 'DestinationRule' }], {}],
    ['answers nothing', null, {}],
  ])('%s', (_, body, expected) => {
    expect(heldObject(body, ref)).toEqual(expected);
  });
});

describe('of Services, istiod', () => {
  const service = (Namespace: string, ServiceRegistry = 'Kubernetes') => ({
    Attributes: { ServiceRegistry, Name: 'orders', Namespace, Labels: { push: '1' } },
    hostname: 'orders.shop.svc.cluster.local',
  });
  const of = { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'orders' };
  test.each([
    ['holds the Service with its labels', [service('shop')], { marks: { push: '1' } }],
    ['holds one without any', [{ Attributes: { ...service('shop').Attributes, Labels: null } }], { marks: {} }],
    ['holds one of another namespace', [service('bank')], {}],
    ['holds a ServiceEntry of that name', [service('shop', 'External')], {}],
    ['answers nothing', null, {}],
  ])('%s', (_, body, expected) => {
    expect(heldService(body, of)).toEqual(expected);
  });
});

const host = 'orders.shop.svc.cluster.local';
const plain = `outbound|80||${host}`;
const clusters = new Set([plain]);
/** As istiod 1.30 has it for a proxy, cut down to what leads to the Service. */
const routeType = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration';
const listenerType = 'type.googleapis.com/envoy.config.listener.v3.Listener';
const routesOf = (name: string, virtualHost: string, ...found: unknown[]) => ({
  configs: [{ '@type': routeType, name, virtualHosts: [{ name: virtualHost, routes: found }] }],
});
const ledBy = (path: string) => ({ metadata: { filterMetadata: { istio: { config: path } } } });
const ofGateway = (more: object) => ({
  name: 'orders',
  match: { prefix: '/orders', caseSensitive: true },
  route: { cluster: plain, timeout: '0s', maxGrpcTimeout: '0s' },
  ...ledBy('/apis/networking.istio.io/v1/namespaces/bank/virtual-service/edge'),
  decorator: { operation: `${host}:80/orders*` },
  ...more,
});
const byDefault = {
  name: 'default',
  match: { prefix: '/' },
  route: { cluster: plain, timeout: '0s', maxGrpcTimeout: '0s' },
  decorator: { operation: `${host}:80/*` },
};

const lines = {
  filters: [
    {
      name: 'envoy.filters.network.tcp_proxy',
      typedConfig: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
        ...{ statPrefix: plain, cluster: plain },
      },
    },
  ],
  ...ledBy('/apis/networking.istio.io/v1/namespaces/bank/virtual-service/lines'),
  transportSocketConnectTimeout: '15s',
};
const withoutName = {
  match: { prefix: '/', caseSensitive: true },
  route: {
    weightedClusters: {
      clusters: [
        { name: plain, weight: 30 },
        { name: 'outbound|80||catalog.shop.svc.cluster.local', weight: 70 },
      ],
    },
    ...{ timeout: '0s', maxGrpcTimeout: '0s' },
  },
  ...ledBy('/apis/networking.istio.io/v1/namespaces/bank/virtual-service/lines'),
  decorator: { operation: 'lines:9090/*' },
};

const routes = (route: unknown) => routesOf('80', `${host}:80`, { route });
const listenerOf = (name: string, chain: unknown) => ({
  configs: [{ '@type': listenerType, name, filterChains: [chain] }],
});
const listener = (config: unknown) => listenerOf('10.96.0.9_7070', { filters: [{ typedConfig: config }] });

describe('a proxy goes past the guard by', () => {
  test.each<[string, unknown, object[]]>([
    ['a route to the Service as a whole', routes({ cluster: plain }), [{ route: '80' }]],
    ['a share of a route', routes({ weightedClusters: { clusters: [{ name: plain, weight: 5 }] } }), [{ route: '80' }]],
    ['a listener of TCP', listener({ cluster: plain, statPrefix: plain }), [{ route: '10.96.0.9_7070' }]],
    ["istiod's default", routesOf('80', `${host}:80`, byDefault), [{ route: '80/default' }]],
    [
      "somebody's route, which has a name",
      routesOf('http.80', 'edge.example:80', ofGateway({})),
      [{ route: 'http.80/orders', object: 'VirtualService bank/edge' }],
    ],
    [
      "a share of somebody's route, which has no name",
      routesOf('9090', `${host}:9090`, withoutName),
      [{ route: '9090', object: 'VirtualService bank/lines' }],
    ],
    [
      "somebody's route of TCP",
      listenerOf('10.96.31.201_7070', lines),
      [{ route: '10.96.31.201_7070', object: 'VirtualService bank/lines' }],
    ],
    [
      'several paths of one route, which is told once',
      routesOf('http.80', 'edge.example:80', ofGateway({}), ofGateway({ match: { path: '/' } })),
      [{ route: 'http.80/orders', object: 'VirtualService bank/edge' }],
    ],
    [
      'routes of two objects',
      routesOf(
        'http.80',
        'edge.example:80',
        ofGateway({}),
        ofGateway(ledBy('/apis/networking.istio.io/v1/namespaces/shop/virtual-service/other')),
      ),
      [
        { route: 'http.80/orders', object: 'VirtualService bank/edge' },
        { route: 'http.80/orders', object: 'VirtualService shop/other' },
      ],
    ],
    [
      'what says of itself nothing that is known',
      routesOf('http.80', 'edge.example:80', ofGateway(ledBy('somewhere'))),
      [{ route: 'http.80/orders' }],
    ],
  ])('%s', (_, dump, ways) => {
    expect(unguardedRoutes(dump, clusters)).toEqual(ways);
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

  test.each<[string, unknown]>([
    ['nothing that is known', null],
    ['an error', 'Proxy not connected to this Pilot instance'],
    ["the form of Envoy's own dump", { configs: [{ '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump' }] }],
  ])('nobody knows by %s', (_, dump) => {
    expect(unguardedRoutes(dump, clusters)).toBeUndefined();
  });
});
