/** Parsers of what istiods say of endpoints and their watchers, in the form of answers of a real istiod 1.30.0. */
import { describe, expect, test } from '@jest/globals';

import { machineEndpoints, machineServices, proxyConnections } from '../../activities/adapters/endpoint-answers.ts';

const query = { namespace: 'shop', machine: 'orders-1' };
const endpoint = (address: string, machine?: string, labels: object = {}, health = 1) => ({
  Labels: { app: 'orders', ...(machine === undefined ? {} : { 'meshlift.dev/machine': machine }), ...labels },
  Addresses: [address],
  Namespace: 'shop',
  HealthStatus: health,
  SendUnhealthyEndpoints: false,
});
const shards = (...endpoints: object[]) => ({
  'orders.shop.svc.cluster.local': { shop: { Shards: { 'Kubernetes/Kubernetes': endpoints } } },
  'catalog.shop.svc.cluster.local': { shop: { Shards: { 'Kubernetes/Kubernetes': [endpoint('10.0.0.9')] } } },
});
const draining = { 'istio.io/draining': '01ARZ3NDEKTSV4RRFFQ69G5FAV.a' };

describe('the Services of a machine', () => {
  test('are those that hold it, with every endpoint once, whatever its ports', () => {
    const body = shards(endpoint('10.0.0.1', 'orders-1'), endpoint('10.0.0.1', 'orders-1'), endpoint('10.0.0.7'));
    const [orders, ...others] = machineServices([body], query);
    expect(others).toEqual([]);
    expect(orders?.host).toBe('orders.shop.svc.cluster.local');
    expect(orders?.endpoints.map(({ address, machine, isOffered }) => [address, machine, isOffered])).toEqual([
      ['10.0.0.1', 'orders-1', true],
      ['10.0.0.7', undefined, true],
    ]);
  });

  test('offer what every istiod offers', () => {
    const one = shards(endpoint('10.0.0.1', 'orders-1'), endpoint('10.0.0.2', 'orders-2'), endpoint('10.0.0.3', 'x'));
    const other = shards(endpoint('10.0.0.1', 'orders-1'), endpoint('10.0.0.2', 'orders-2', draining));
    const [orders] = machineServices([one, other], query);
    expect(orders?.endpoints.map(({ address, isOffered }) => [address, isOffered])).toEqual([
      ['10.0.0.1', true],
      ['10.0.0.2', false],
      ['10.0.0.3', false],
    ]);
  });
});

test("the machine's own endpoints tell their label and whether they are offered", () => {
  const mine = { ...query, address: '10.0.0.1' };
  const body = shards(endpoint('10.0.0.1', 'orders-1', draining), endpoint('10.0.0.2', 'orders-1'));
  expect(machineEndpoints(body, mine)).toEqual([
    { host: 'orders.shop.svc.cluster.local', draining: draining['istio.io/draining'], isOffered: false },
  ]);
  const unhealthy = shards(endpoint('10.0.0.1', 'orders-1', {}, 2));
  expect(machineEndpoints(unhealthy, mine)).toEqual([{ host: 'orders.shop.svc.cluster.local', isOffered: false }]);
});

describe('the connections of proxies', () => {
  const type = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment';
  const nonce = (second: string) => `2026-11-22T22:27:${second}Z/9ad7c831d-61bc-4244-8c19-c7917ac94f39`;
  const status = (proxy: string, more: object = {}) => ({
    proxy,
    endpoint_sent: nonce('57'),
    endpoint_acked: nonce('50'),
    ...more,
  });
  const client = (id: string, ...names: string[]) => ({
    connectionId: id,
    metadata: { INSTANCE_IPS: '10.0.0.5,fd00::5' },
    watches: { [type]: names },
  });
  const hosts = ['orders.shop.svc.cluster.local'];

  test.each([
    ['outbound|80||orders.shop.svc.cluster.local', true],
    ['outbound|80|v1|orders.shop.svc.cluster.local', true],
    ['outbound_.80_._.orders.shop.svc.cluster.local', true],
    ['outbound_.80_.v1_.orders.shop.svc.cluster.local', true],
    ['outbound|80||catalog.shop.svc.cluster.local', false],
    ['outbound|80||other-orders.shop.svc.cluster.local', false],
  ])('%s is watching: %s', (name, isWatching) => {
    const [found] = proxyConnections([status('a.shop')], { clients: [client('a.shop-3', name)] }, hosts);
    expect(found).toMatchObject({ proxy: 'a.shop', isWatching, addresses: ['10.0.0.5', 'fd00::5'] });
  });

  test.each([
    ['outbound|80||orders.shop.svc.cluster.local', 'outbound|80||orders.shop.svc.cluster.local', ''],
    ['outbound|80|v1|orders.shop.svc.cluster.local', 'outbound|80||orders.shop.svc.cluster.local', 'v1'],
    ['outbound_.80_._.orders.shop.svc.cluster.local', 'outbound_.80_._.orders.shop.svc.cluster.local', ''],
    ['outbound_.80_.v1_.orders.shop.svc.cluster.local', 'outbound_.80_._.orders.shop.svc.cluster.local', 'v1'],
  ])('who asks for endpoints of %s has a cluster of it', (name, of, subset) => {
    const others = [
      'outbound|80|v1|catalog.shop.svc.cluster.local',
      'outbound|80||other-orders.shop.svc.cluster.local',
    ];
    const [found] = proxyConnections([status('a.shop')], { clients: [client('a.shop-3', ...others, name)] }, hosts);
    expect(found?.clusters).toEqual([{ of, subset }]);
  });

  test('ask for what each connection of the proxy asks for', () => {
    const [whole, v1] = ['outbound|80||orders.shop.svc.cluster.local', 'outbound|80|v1|orders.shop.svc.cluster.local'];
    const clients = [client('a.shop-3', whole, v1), client('a.shop-7', whole)];
    const [found] = proxyConnections([status('a.shop')], { clients }, hosts);
    expect(found?.clusters).toEqual([{ of: whole, subset: '' }]);
  });

  const push = (counter: number) => `2026-11-22T22:27:50Z/${counter}0ad7c831-61bc-4244-8c19-c7917ac94f39`;
  test.each([
    ['of the same push', [push(9), push(9), push(9)], true],
    ['of a later push', [push(9), push(9), push(10)], true],
    ['of an earlier push', [push(10), push(10), push(9)], false],
    ['of the same push as clusters that it has not acknowledged', [push(10), push(9), push(10)], false],
    ['it has not acknowledged any', [push(10), push(10), undefined], false],
  ])('tell whether listeners go with the clusters: %s', (_, [cluster_sent, cluster_acked, listener_acked], has) => {
    const [found] = proxyConnections([status('a.shop', { cluster_sent, cluster_acked, listener_acked })], {}, hosts);
    expect(found?.hasListenersOfClusters).toBe(has);
  });

  test('tell when what was sent and acknowledged was pushed, and why it was refused', () => {
    const refused = status('a.shop', { resources: { [type]: { lastError: 'no such thing' } } });
    expect(proxyConnections([refused], { clients: [client('a.shop-3')] }, hosts)).toEqual([
      {
        proxy: 'a.shop',
        addresses: ['10.0.0.5', 'fd00::5'],
        isWatching: false,
        clusters: [],
        hasListenersOfClusters: false,
        sentAt: '2026-11-22T22:27:57.000Z',
        acknowledgedAt: '2026-11-22T22:27:50.000Z',
        error: 'no such thing',
      },
    ]);
  });

  test('may watch anything where the proxy connected between the two answers', () => {
    expect(proxyConnections([{ proxy: 'new.shop' }], {}, hosts)).toEqual([
      { proxy: 'new.shop', addresses: [], isWatching: true, clusters: [], hasListenersOfClusters: false },
    ]);
  });
});
