/** Parsers of istiod's debug answers, over answers of a real istiod 1.30.0. */
import { describe, expect, test } from '@jest/globals';

import { isGivenOut, readAuthorizations, readSyncStatus } from '../../activities/adapters/istiod-answers.ts';

const nonce = (counter: string): string => `2026-11-22T20:18:44Z/${counter}f18-53ca-4bcb-a157-ec1ec5044229`;
const inSync = {
  cluster_id: 'Kubernetes',
  proxy: 'orders-1.shop',
  proxy_type: 'sidecar',
  istio_version: '1.30.0',
  cluster_sent: nonce('57c5f68'),
  cluster_acked: nonce('57c5f68'),
  listener_sent: nonce('5452472'),
  listener_acked: nonce('5452472'),
  route_sent: nonce('5470ece'),
  route_acked: nonce('5470ece'),
  endpoint_sent: nonce('57e9128'),
  endpoint_acked: nonce('57e9128'),
  resources: {
    'type.googleapis.com/envoy.config.cluster.v3.Cluster': { sent: nonce('57c5f68'), acked: nonce('57c5f68') },
  },
};

describe('the state of a proxy', () => {
  test('is in sync when every push is acknowledged', () => {
    expect(readSyncStatus([inSync], 'orders-1.shop')).toEqual([
      { version: '1.30.0', unacknowledged: [], rejected: [] },
    ]);
  });

  test('is nothing for a proxy that is not connected', () => {
    expect(readSyncStatus([inSync], 'orders-2.shop')).toEqual([]);
    expect(readSyncStatus(null, 'orders-1.shop')).toEqual([]);
  });

  test('names what is sent and not acknowledged, and what was never sent though every proxy gets it', () => {
    const neverSent = { listener_sent: '', listener_acked: '' };
    const [status] = readSyncStatus([{ ...inSync, ...neverSent, endpoint_acked: nonce('0000000') }], 'orders-1.shop');
    expect(status?.unacknowledged).toEqual(['lds', 'eds']);
  });

  test('does not miss routes that the proxy never asked for', () => {
    expect(
      readSyncStatus([{ ...inSync, route_sent: '', route_acked: '' }], 'orders-1.shop')[0]?.unacknowledged,
    ).toEqual([]);
  });

  test('tells a rejection', () => {
    const resources = { 'type.googleapis.com/envoy.config.listener.v3.Listener': { lastError: 'no such filter' } };
    expect(readSyncStatus([{ ...inSync, resources }], 'orders-1.shop')[0]?.rejected).toEqual([
      'Listener: no such filter',
    ]);
  });
});

describe('an endpoint', () => {
  const label = { 'meshlift.dev/machine': 'orders-1' };
  const endpoint = {
    Labels: { app: 'orders', ...label },
    Addresses: ['10.245.0.11'],
    Namespace: 'shop',
    HealthStatus: 1,
    SendUnhealthyEndpoints: true,
  };
  const shards = (changes: object): unknown => ({
    'frontend.shop.svc.cluster.local': { shop: { Shards: { 'Kubernetes/Kubernetes': null } } },
    'orders.shop.svc.cluster.local': { shop: { Shards: { 'Kubernetes/Kubernetes': [{ ...endpoint, ...changes }] } } },
  });
  const rows: readonly (readonly [string, object, boolean])[] = [
    ['that is healthy is given out', {}, true],
    ['of another address is not this one', { Addresses: ['10.245.0.12'] }, false],
    ['of another machine is not this one', { Labels: { 'meshlift.dev/machine': 'orders-2' } }, false],
    ['that someone made by hand is not this one', { Labels: { app: 'orders' } }, false],
    ['of another namespace is not this one', { Namespace: 'bank' }, false],
    ['with the draining label is not given out', { Labels: { ...label, 'istio.io/draining': 'x' } }, false],
    ['with an empty draining label is given out', { Labels: { ...label, 'istio.io/draining': '' } }, true],
    ['that is unhealthy is given out where clients are told of those', { HealthStatus: 2 }, true],
    ['that is unhealthy is else not given out', { HealthStatus: 2, SendUnhealthyEndpoints: false }, false],
    ['that drains or terminates is not given out', { HealthStatus: 4 }, false],
    ['of an older istiod has one address', { Addresses: null, Address: '10.245.0.11' }, true],
  ];
  test.each(rows)('%s', (_, changes, expected) => {
    expect(isGivenOut(shards(changes), { namespace: 'shop', machine: 'orders-1', address: '10.245.0.11' })).toBe(
      expected,
    );
  });
});

test('of AuthorizationPolicies those that allow some callers of every workload guard a namespace', () => {
  const rules = [{ from: [{ source: { namespaces: ['bank'] } }] }];
  const policy = (name: string, spec: object): object => ({ name, namespace: 'bank', annotations: {}, spec });
  const policies = [
    policy('all', { rules }),
    policy('deny', { rules, action: 'DENY' }),
    policy('one', { selector: { matchLabels: { app: 'x' } }, rules }),
    policy('gateway', { rules, targetRefs: [{ kind: 'Gateway', name: 'g' }] }),
  ];
  const body = { authorization_policies: { namespace_to_policies: { bank: policies }, root_namespace: 'mesh-root' } };
  const read = readAuthorizations(body, 'istio-system');
  expect(read.rootNamespace).toBe('mesh-root');
  expect(read.policies.filter(({ isOfAll }) => isOfAll).map(({ name }) => name)).toEqual(['all']);
  expect(readAuthorizations({}, 'istio-system')).toEqual({ rootNamespace: 'istio-system', policies: [] });
});
