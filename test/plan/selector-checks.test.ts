/** Whether the selector of a Service may keep the sides of a migration apart, one row per finding. */
import { describe, expect, test } from '@jest/globals';

import type { CutoverFacts, FoundManifest, FoundRoute } from '../../activities/ports/cutover-port.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import { cutoverConditions } from '../../workflows/plan/cutover-checks.ts';

const request: CreateMigration = {
  ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders', guard: 'selector' },
  ...{ target: { deployment: 'orders' }, steps: [{ weight: 100 }] },
};
const service: NonNullable<CutoverFacts['service']> = {
  ...{ selector: { app: 'orders' }, isHeadless: false, ports: [{ name: 'http', port: 80 }] },
  like: { annotations: {}, spec: {} },
};
const side = (name: string, more: Partial<FoundManifest> = {}): FoundManifest => ({
  ...{ ref: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name }, isThere: false, ...more },
});
const facts: CutoverFacts = {
  ...{ host: 'orders.shop.svc.cluster.local', service, otherServices: [], entries: [], routes: [], gatewayRoutes: [] },
  ...{ policies: [], objects: [], sideServices: [side('meshlift-move'), side('meshlift-move-machines')] },
};
const route = (kind: string, more: Partial<FoundRoute> = {}, name = 'theirs'): FoundRoute => ({
  ...{ ref: { apiVersion: 'networking.istio.io/v1', kind, namespace: 'bank', name }, ...more },
});
const object = (kind: string) => ({
  ...{ apiVersion: 'v1', kind, metadata: { namespace: 'shop', name: 'meshlift-move' } },
});

const own = ['SelectorFree', 'SelectorMayChange', 'SideServicesFree', 'RulesHold', 'OthersMoveAtOnce', 'RoutesFree'];
const told = (more: Partial<CutoverFacts>, asked: Partial<CreateMigration> = {}): string[] =>
  cutoverConditions({ request: { ...request, ...asked }, facts: { ...facts, ...more }, machines: [] }, '')
    .filter(({ type, reason, status }) => status !== 'True' && (own.includes(type) || reason.startsWith('Service')))
    .map(({ category, reason, message }) => `${category} ${reason}: ${message}`);

test('nothing is in the way of a Service that nobody else has', () => {
  expect(told({})).toEqual([]);
});

describe('a migration by guard: selector is refused where', () => {
  const forbidden = { type: 'ClusterForbidden', message: 'Apply of Service shop/meshlift-move: forbidden' };
  const long = 'm'.repeat(46);
  test.each<[string, Partial<CutoverFacts>, Partial<CreateMigration>, string, RegExp]>([
    ['another one has the Service', { service: { ...service, heldBy: 'other' } }, {}, 'OtherMigration', /other has/],
    ['a run of it by routes is left', { objects: [object('DestinationRule')] }, {}, 'OtherGuard', /by guard: routes/],
    ['a tool puts it back', { service: { ...service, gitOps: ['Flux'] } }, {}, 'ManagedByGitOps', /gitops: paused/],
    ['its name is too long for a Service', {}, { name: long }, 'NameTooLong', /at most 45$/],
    [
      'a name is taken',
      { sideServices: [side('meshlift-move', { isThere: true })] },
      {},
      'NameTaken',
      /Service shop\/meshlift-move exists/,
    ],
    [
      'it may write no Services',
      { sideServices: [side('meshlift-move', { fault: forbidden })] },
      {},
      'ClusterForbidden',
      /bind ClusterRole meshlift-selectors in namespace shop$/,
    ],
    [
      'the Service is another host',
      { service: { ...service, isExternal: true } },
      {},
      'ServiceExternal',
      /another host/,
    ],
    ['the Service is headless', { service: { ...service, isHeadless: true } }, {}, 'ServiceHeadless', /headless/],
    ['it selects nothing', { service: { ...service, selector: {} } }, {}, 'ServiceSelectsNothing', /by hand/],
    [
      'sidecars are told otherwise where its calls go',
      { routes: [route('VirtualService', { isOfMesh: true })] },
      {},
      'RoutedAlready',
      /VirtualService bank\/theirs/,
    ],
    [
      'another migration routes it',
      { routes: [route('DestinationRule', { migration: 'other' })] },
      {},
      'OtherMigration',
      /other moves/,
    ],
  ])('%s', (_, more, asked, reason, message) => {
    const [first = '', ...rest] = told(more, asked);
    expect(rest).toEqual([]);
    expect(first).toMatch(new RegExp(`^Critical ${reason}: `));
    expect(first).toMatch(message);
  });
});

test('a tool that is paused puts nothing back, and what a run before has left is taken on', () => {
  expect(told({ service: { ...service, gitOps: ['Flux'] } }, { gitops: 'paused' })).toEqual([]);
  const sideServices = [side('meshlift-move', { isThere: true, migration: 'move' })];
  expect(told({ service: { ...service, heldBy: 'move' }, objects: [object('Service')], sideServices })).toEqual([]);
});

test('rules of the Service, and routes that no weight moves, are told of and do not hold it up', () => {
  const routes = [route('DestinationRule', {}, 'rule'), route('VirtualService', {}, 'edge'), route('HTTPRoute')];
  expect(told({ routes }).map((line) => line.split(':')[0])).toEqual(['Warning RulesNotOfPods', 'Warning RoutesUnled']);
  expect(told({ routes }).join()).toMatch(
    /bank\/rule are for Service.*VirtualService bank\/edge, HTTPRoute bank\/theirs/,
  );
  const gatewayRoutes = [{ namespace: 'bank', virtualService: 'edge', route: 'main', destinations: [] }];
  expect(told({ routes: [route('VirtualService', {}, 'edge')], gatewayRoutes })).toEqual([]);
});

describe('a migration by routes', () => {
  test.each<[string, FoundRoute, boolean]>([
    ['a rule', route('DestinationRule'), true],
    ["a gateway's route", route('VirtualService'), true],
    ['a route of the mesh', route('VirtualService', { isOfMesh: true }), false],
  ])('hears of guard: selector where that lives with %s', (_, found, isTold) => {
    const [line = ''] = told({ routes: [found] }, { guard: 'routes' });
    expect(line).toMatch(/^Critical RoutedAlready/);
    expect(line.includes('Or ask for guard: selector')).toBe(isTold);
  });

  test('does not take on what a run by guard: selector has left', () => {
    expect(told({ objects: [object('Service')] }, { guard: 'routes' })).toEqual([
      expect.stringMatching(/^Critical OtherGuard: .*Service shop\/meshlift-move, by guard: selector/),
    ]);
  });
});
