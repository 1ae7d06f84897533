/** What a migration owns in the mesh, as it is applied. */
import { describe, expect, test } from '@jest/globals';

import type { GatewayRoute } from '../../activities/ports/cutover-port.ts';
import {
  renderGatewayRoute,
  renderRoutes,
  renderSubsets,
  withoutSides,
} from '../../activities/render/cutover-routes.ts';
import { cutoverTarget } from '../support/cutover-target.ts';

const target = cutoverTarget;
const { host } = target;

const metadata = {
  name: 'meshlift-orders',
  namespace: 'shop',
  labels: { 'app.kubernetes.io/managed-by': 'meshlift', 'meshlift.dev/migration': 'orders' },
  annotations: { 'istio.io.meshlift.dev/push': 'run.1' },
};

test('both sides of the Service have a name', () => {
  expect(renderSubsets(target, 0, 'run.1')).toEqual({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata,
    spec: {
      host,
      subsets: [
        { name: 'machines', labels: { 'meshlift.dev/workload-group': 'orders' } },
        { name: 'kubernetes', labels: { version: 'v2' } },
      ],
    },
  });
});

const smoke = {
  name: 'meshlift-smoke',
  match: [{ headers: { 'x-meshlift-target': { exact: 'kubernetes' } } }],
  route: [{ destination: { host, subset: 'kubernetes' } }],
};
const shares = (machines: number, pods: number) => ({
  name: 'meshlift-cutover',
  route: [
    { destination: { host, subset: 'machines' }, weight: machines },
    { destination: { host, subset: 'kubernetes' }, weight: pods },
  ],
});

describe('the routes', () => {
  test.each([
    ['guard: everything to machines', 0, shares(100, 0)],
    ['share by weight', 25, shares(75, 25)],
    ['end with everything at pods', 100, shares(0, 100)],
  ])('%s', (_, weight, route) => {
    expect(renderRoutes(target, weight, 'run.1')).toEqual({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata,
      spec: { hosts: [host], http: [smoke, route] },
    });
  });

  test.each([
    [99, { 'meshlift.dev/workload-group': 'orders' }],
    [100, { version: 'v2' }],
  ])('of TCP stay as they are: at %i%% their subset has the endpoints of one side', (weight, labels) => {
    const tcp = { ...target, ports: [{ port: 7070, protocol: 'tcp' as const }] };
    expect(renderRoutes(tcp, weight, 'run.1').spec).toEqual({
      hosts: [host],
      tcp: [{ match: [{ port: 7070 }], route: [{ destination: { host, subset: 'connections' } }] }],
    });
    expect(renderSubsets(tcp, weight, 'run.1')).toMatchObject({
      spec: { subsets: [{ name: 'machines' }, { name: 'kubernetes' }, { name: 'connections', labels }] },
    });
  });
});

describe('a route of a gateway', () => {
  const own = { namespace: 'shop', virtualService: 'edge', route: 'orders' };
  const to = (name: string, weight?: number, subset?: string) => ({
    destination: { host: name, ...(subset === undefined ? {} : { subset }) },
    ...(weight === undefined ? {} : { weight }),
  });
  test.each([
    ['shares as the mesh does', [to('orders')], [to(host, 75, 'machines'), to(host, 25, 'kubernetes')]],
    ['knows the Service by its full name', [to(host)], [to(host, 75, 'machines'), to(host, 25, 'kubernetes')]],
    [
      'keeps what goes to others',
      [to('orders', 80), to('orders-beta', 20)],
      [to(host, 60, 'machines'), to(host, 20, 'kubernetes'), to('orders-beta', 20)],
    ],
  ])('%s', (_, before, after) => {
    expect(renderGatewayRoute({ ...own, destinations: before }, target, 25)).toEqual({ ...own, destinations: after });
  });
});

describe('a gateway’s route that a run before has left', () => {
  const whole = { destination: { host, port: { number: 80 } } };
  const elsewhere = { destination: { host: 'other.shop.svc.cluster.local' }, weight: 30 };
  const route = (...destinations: GatewayRoute['destinations']): GatewayRoute => ({
    ...{ namespace: 'shop', virtualService: 'edge', route: 'orders' },
    destinations,
  });

  test.each<[string, GatewayRoute]>([
    ['all of it', route(whole)],
    ['a share', route({ ...whole, weight: 70 }, elsewhere)],
  ])('is read as it was before: %s', (_, before) => {
    for (const weight of [0, 35, 100]) {
      expect(withoutSides(renderGatewayRoute(before, target, weight), target)).toEqual(before);
    }
  });

  test('is left alone where it leads to no side', () => {
    expect(withoutSides(route(elsewhere), target)).toEqual(route(elsewhere));
  });
});
