import { describe, expect, test } from '@jest/globals';

import { isBoundToMesh, isForByWildcard, namesService } from '../../activities/render/route-hosts.ts';

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
