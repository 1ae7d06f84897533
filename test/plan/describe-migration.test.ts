/** The plan of a migration in words: what becomes of each object, and what a rollback restores. */
import { describe, expect, test } from '@jest/globals';
import { Errors } from 'typebox/value';

import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts, FoundManifest, GatewayRoute } from '../../activities/ports/cutover-port.ts';
import {
  type CutoverTarget,
  renderGatewayRoute,
  renderRoutes,
  renderSubsets,
  withoutSides,
} from '../../activities/render/cutover-routes.ts';
import { refOf } from '../../activities/render/object-ref.ts';
import { renderGuard, renderSides } from '../../activities/render/service-sides.ts';
import { type CreateMigration, type Manifest, MigrationPlan } from '../../api/schemas/migration.ts';
import { describeMigration, leftAtTheEnd } from '../../workflows/plan/describe-migration.ts';
import { appliedManifests } from '../../workflows/plan/migration-target.ts';
import { cutoverTarget, selectorTarget } from '../support/cutover-target.ts';

const request: CreateMigration = {
  ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
  ...{ target: { deployment: 'orders' }, steps: [{ weight: 100 }] },
};
const target: CutoverTarget = { ...cutoverTarget, migration: 'move' };
const { host } = target;
const own = [renderSubsets(target, 0, ''), renderRoutes(target, 0, '')];
const nothing = { objects: [], gatewayRoutes: [] };
type Found = Pick<CutoverFacts, 'objects' | 'manifests' | 'gatewayRoutes'>;

const planOf = (found: Found, more: Partial<CutoverTarget> = {}, asked = request, manifests: KubernetesObject[] = []) =>
  describeMigration(
    { request: asked, target: { ...target, ...more }, replicasBefore: 0 },
    [...own, ...manifests],
    found,
  );
const changes = ({ objects }: Pick<MigrationPlan, 'objects'>): string[] =>
  objects.map(({ ref, change }) => `${change} ${ref}`);

describe('of its own objects', () => {
  test.each<[string, readonly KubernetesObject[], string[]]>([
    ['all are created where none is there', [], ['create', 'create']],
    ['those that a run before has left at its guard stay', own, ['unchanged', 'unchanged']],
    [
      'those that a run before has left at its weight are changed',
      [renderSubsets(target, 50, 'a'), renderRoutes(target, 50, 'a')],
      ['unchanged', 'change'],
    ],
    ['one that a run before has left alone is known', [renderSubsets(target, 0, 'a')], ['unchanged', 'create']],
  ])('%s', (_, objects, wanted) => {
    expect(changes(planOf({ ...nothing, objects }))).toEqual([
      `${wanted[0] ?? ''} DestinationRule shop/meshlift-move`,
      `${wanted[1] ?? ''} VirtualService shop/meshlift-move`,
    ]);
  });
});

const manifest: Manifest = { ...{ apiVersion: 'v1', kind: 'ConfigMap' }, metadata: { name: 'settings' } };
const broughtAlong: CreateMigration = { ...request, target: { manifests: [manifest] } };
const [configMap = unreachable()] = appliedManifests(broughtAlong);

test.each<[string, Partial<FoundManifest>, string]>([
  ['is created', { isThere: false }, 'create'],
  ['that a run before has made is as it is to be', { isThere: true, isSame: true }, 'unchanged'],
  ['that a run before has made otherwise is changed', { isThere: true, isSame: false }, 'change'],
])('what the request brings along %s', (_, found, change) => {
  const manifests = [{ ref: refOf(configMap), isThere: false, ...found }];
  const plan = planOf({ ...nothing, manifests }, {}, broughtAlong, [configMap]);
  expect(changes(plan)).toContain(`${change} ConfigMap shop/settings`);
  expect(plan.rollback).toContain('ConfigMap shop/settings deleted');
});

describe('of VirtualServices of others', () => {
  const route = (name: string, virtualService = 'edge'): GatewayRoute => ({
    ...{ namespace: 'shop', virtualService, route: name },
    destinations: [{ destination: { host, port: { number: 80 } } }],
  });
  const routes = [route('orders'), route('orders-v2'), route('api', 'inner')];

  test('each is changed once, in the routes that are named', () => {
    const plan = planOf({ ...nothing, gatewayRoutes: routes }, { gatewayRoutes: routes });
    const led = plan.objects.slice(own.length);
    expect(led.map(({ ref, change, routes: named }) => ({ ref, change, named }))).toEqual([
      { ref: 'VirtualService shop/edge', change: 'change', named: ['orders', 'orders-v2'] },
      { ref: 'VirtualService shop/inner', change: 'change', named: ['api'] },
    ]);
    const destination = { host, port: { number: 80 } };
    expect(led[1]?.object).toEqual({
      ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService' },
      metadata: { namespace: 'shop', name: 'inner' },
      spec: {
        http: [
          {
            name: 'api',
            route: [
              { destination: { ...destination, subset: 'machines' }, weight: 100 },
              { destination: { ...destination, subset: 'kubernetes' }, weight: 0 },
            ],
          },
        ],
      },
    });
  });

  test('one that a run before has left at its guard stays, and is put back as it was before that', () => {
    const [orders = unreachable()] = routes;
    const left = renderGatewayRoute(orders, target, 0);
    const plan = planOf({ ...nothing, gatewayRoutes: [left] }, { gatewayRoutes: [withoutSides(left, target)] });
    expect(changes(plan)).toContain('unchanged VirtualService shop/edge');
    expect(plan.rollback).toContain(`route orders of VirtualService shop/edge as it was: ${host}:80`);
  });

  test('are put back with their shares, before the routes of the migration go', () => {
    const shares = [
      { destination: { host }, weight: 90 },
      { destination: { host: 'other', subset: 'blue' }, weight: 10 },
    ];
    const shared = { ...route('orders'), destinations: shares };
    const { rollback } = planOf({ ...nothing, gatewayRoutes: [shared] }, { gatewayRoutes: [shared] });
    expect(rollback.slice(-2)).toEqual([
      `route orders of VirtualService shop/edge as it was: 90% to ${host}, 10% to other (blue)`,
      'no VirtualService and no DestinationRule of the migration',
    ]);
  });

  test('are as the schema of the answer says', () => {
    const plan = planOf({ ...nothing, gatewayRoutes: routes }, { gatewayRoutes: routes });
    expect(Errors(MigrationPlan, { conditions: [], ...plan })).toEqual([]);
  });
});

describe('by guard: selector', () => {
  const bySelector: CutoverTarget = { ...selectorTarget, migration: 'move' };
  const planOfSelector = (objects: readonly KubernetesObject[]) =>
    describeMigration(
      { request: { ...request, guard: 'selector' }, target: bySelector, replicasBefore: 0 },
      renderGuard(bySelector, 0, ''),
      { ...nothing, objects },
    );
  const serviceWith = (selector: object): KubernetesObject => ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name: 'orders' }, spec: { selector } },
  });

  test('Services of the sides are made, and the Service is changed in its selector', () => {
    const plan = planOfSelector([]);
    expect(changes(plan)).toEqual([
      'create Service shop/meshlift-move-machines',
      'create Service shop/meshlift-move',
      'create VirtualService shop/meshlift-move',
      'change Service shop/orders',
    ]);
    const selector = { app: 'orders', 'meshlift.dev/workload-group': 'orders' };
    expect(plan.objects.at(-1)?.object).toEqual(serviceWith(selector));
    expect(plan.steps.map(({ name }) => name)).toContain('applyServices');
    expect(plan.rollback.slice(-2)).toEqual([
      'selector of Service shop/orders as it was: app=orders',
      'no VirtualService of the migration, and none of its Services meshlift-move and meshlift-move-machines',
    ]);
    expect(Errors(MigrationPlan, { conditions: [], ...plan })).toEqual([]);
  });

  test('what a run before has left stands, whatever the API server filled in', () => {
    const sides = renderSides(bySelector, '').map((side) => ({
      ...side,
      spec: { ...(side.spec as object), clusterIP: '10.96.0.7' },
    }));
    const guarded = serviceWith({ app: 'orders', 'meshlift.dev/workload-group': 'orders' });
    expect(changes(planOfSelector([...sides, guarded]))).toEqual([
      'unchanged Service shop/meshlift-move-machines',
      'unchanged Service shop/meshlift-move',
      'create VirtualService shop/meshlift-move',
      'unchanged Service shop/orders',
    ]);
    const atPods = serviceWith({ app: 'orders', version: 'v2' });
    expect(changes(planOfSelector([...sides, atPods])).at(-1)).toBe('change Service shop/orders');
  });

  test('where its end could not be written, a person is told what to do', () => {
    expect(leftAtTheEnd({ ...request, guard: 'selector' })).toMatch(/Service shop\/orders the selector .*annotation/);
    expect(leftAtTheEnd(request)).toMatch(/^Remove VirtualService and DestinationRule meshlift-move/);
  });
});

function unreachable(): never {
  throw new Error('unreachable');
}
