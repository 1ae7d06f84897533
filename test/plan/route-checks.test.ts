/** What routes a Service beside a migration, while it runs as before it began. */
import { describe, expect, test } from '@jest/globals';

import type { FoundRoute } from '../../activities/ports/cutover-port.ts';
import { routedBeside } from '../../workflows/plan/route-checks.ts';

const route = (kind: string, namespace: string, more: Partial<FoundRoute> = {}): FoundRoute => ({
  ref: { apiVersion: 'networking.istio.io/v1', kind, namespace, name: 'edge' },
  ...more,
});
const isWildcard = true as const;
const migration = { namespace: 'shop', migration: 'orders', rootNamespace: 'istio-system' };
const gatewayRoutes = [{ namespace: 'shop', virtualService: 'edge' }];
const beside = (one: FoundRoute): boolean => routedBeside({ ...migration, gatewayRoutes, routes: [one] }).includes(one);

describe('beside a migration the Service is routed by', () => {
  test.each([
    ['a VirtualService of others', route('VirtualService', 'bank')],
    ['an HTTPRoute', route('HTTPRoute', 'bank')],
    ['a rule of the name of such a VirtualService', route('DestinationRule', 'shop')],
    ["a rule of a client's namespace, by a wildcard too", route('DestinationRule', 'bank', { isWildcard })],
    ['another migration', route('VirtualService', 'bank', { migration: 'rival' })],
  ])('%s', (_, one) => {
    expect(beside(one)).toBe(true);
  });

  test.each([
    ['its own objects', route('VirtualService', 'shop', { migration: 'orders' })],
    ['the VirtualService of a gateway that it leads', route('VirtualService', 'shop')],
    ['a rule of the namespace that its own outranks', route('DestinationRule', 'shop', { isWildcard })],
    ['one of the root namespace', route('DestinationRule', 'istio-system', { isWildcard })],
  ])('not by %s', (_, one) => {
    expect(beside(one)).toBe(false);
  });
});
