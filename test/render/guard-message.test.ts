/** Why the guard does not hold, in the words that a person gets. */
import { expect, test } from '@jest/globals';

import { guardMessage } from '../../activities/render/guard-message.ts';

const host = 'orders.shop.svc.cluster.local';
const gateway = { proxy: 'ingress-1.istio-system', route: 'http.80/orders', object: 'VirtualService bank/edge' };
const sidecar = { proxy: 'teller-1.bank', route: '80/default' };

test('a proxy is named with its route, and kind, namespace and name of the object behind it', () => {
  expect(guardMessage(host, [gateway])).toBe(
    'Proxies would spread requests to orders.shop.svc.cluster.local over machines and pods alike: ingress-1.istio-system follows VirtualService bank/edge (route http.80/orders); name routes of gateways in ownGatewayRoutes, and remove the others for the time of the migration, or ask for guard: selector, which lives with them',
  );
});

test('a default route is told as one', () => {
  expect(guardMessage(host, [sidecar])).toMatch(
    /teller-1\.bank follows no object \(route 80\/default\); a route without an object is istiod's default/,
  );
});

test('either is told what to do about', () => {
  expect(guardMessage(host, [gateway, sidecar])).toMatch(/; name routes of gateways .*; a route without an object/);
});

test('of many proxies ten are named', () => {
  const many = Array.from({ length: 12 }, (_, index) => ({ ...sidecar, proxy: `teller-${index}.bank` }));
  expect(guardMessage(host, many)).toMatch(/teller-9\.bank follows no object \(route 80\/default\) and 2 more;/);
});
