import { describe, expect, test } from '@jest/globals';

import { isBoundToMesh, isForByWildcard, leadsMesh, namesService } from '../../activities/render/route-hosts.ts';

const host = 'orders.shop.svc.cluster.local';

describe('an object names a Service', () => {
  test.each([
    ['as its host', { host }, true],
    ['among its hosts', { hosts: ['payments', host] }, true],
    ['as a destination', { hosts: ['*'], http: [{ route: [{ destination: { host } }] }] }, true],
    ['as a backend', { rules: [{ backendRefs: [{ name: host }] }] }, true],
    ['nowhere', { hosts: ['payments'], http: [{ name: 'orders' }] }, false],
    ['in a field that says nothing of hosts', { http: [{ match: [{ uri: { exact: host } }] }] }, false],
    ['by a wildcard alone', { host: '*.local' }, false],
  ])('%s', (_, spec, names) => {
    expect(namesService(spec, [host])).toBe(names);
  });
});

test.each([
  ['*', true],
  ['*.local', true],
  ['*.shop.svc.cluster.local', true],
  ['*.bank.svc.cluster.local', false],
  [host, false],
])('DestinationRule host %s is for it by a wildcard: %p', (pattern, isFor) => {
  expect(isForByWildcard({ host: pattern }, host)).toBe(isFor);
});

test.each([
  [undefined, true],
  [[], true],
  [['istio-system/ingress', 'mesh'], true],
  [['istio-system/ingress'], false],
])('a VirtualService with gateways %j is followed by sidecars: %p', (gateways, isBound) => {
  expect(isBoundToMesh(gateways === undefined ? {} : { gateways })).toBe(isBound);
});

describe('says for the mesh where calls of the Service go', () => {
  const route = [{ destination: { host } }];
  const service = { group: '', kind: 'Service', name: host };
  test.each<[string, string, object, boolean]>([
    ['a VirtualService of its name', 'VirtualService', { hosts: [host], http: [{ route }] }, true],
    ['one of gateways alone', 'VirtualService', { hosts: [host], gateways: ['istio-system/ingress'] }, false],
    ['one of another host that leads there', 'VirtualService', { hosts: ['payments'], http: [{ route }] }, false],
    ['an HTTPRoute of the Service', 'HTTPRoute', { parentRefs: [service] }, true],
    [
      'an HTTPRoute of a gateway',
      'HTTPRoute',
      { parentRefs: [{ name: host }], rules: [{ backendRefs: [service] }] },
      false,
    ],
    ['a rule', 'DestinationRule', { host }, false],
  ])('%s', (_, kind, spec, leads) => {
    expect(leadsMesh(kind, spec, [host])).toBe(leads);
  });
});
