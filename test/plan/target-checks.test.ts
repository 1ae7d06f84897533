/** What a migration brings along: judged before anything is touched, rendered without a pod, and given back as it was written. */
import { describe, expect, test } from '@jest/globals';

import type { CutoverFacts, FoundManifest } from '../../activities/ports/cutover-port.ts';
import { fieldsLost, renderManifests, unmarked } from '../../activities/render/manifests.ts';
import type { CreateMigration, Manifest } from '../../api/schemas/migration.ts';
import { cutoverConditions } from '../../workflows/plan/cutover-checks.ts';
import { cutoverSteps } from '../../workflows/plan/cutover-steps.ts';
import { deploymentOf } from '../../workflows/plan/migration-target.ts';
import { replicasOf } from '../../workflows/plan/target-checks.ts';

const now = '2026-01-01T00:00:00.000Z';
const deployment: Manifest = {
  ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'orders' } },
  spec: { replicas: 3, template: {} },
};
const settings: Manifest = {
  ...{ apiVersion: 'v1', kind: 'ConfigMap', data: { mode: 'fast' } },
  metadata: { name: 'settings', labels: { team: 'a', 'app.kubernetes.io/managed-by': 'team-a' } },
};
const requestOf = (manifests: Manifest[], more: Partial<CreateMigration> = {}): CreateMigration => ({
  ...{ name: 'move', namespace: 'shop', workloadGroup: 'orders', service: 'orders', target: { manifests } },
  steps: [{ weight: 100 }],
  ...more,
});
const facts: CutoverFacts = {
  ...{ host: 'orders.shop.svc.cluster.local', otherServices: [], entries: [], routes: [], gatewayRoutes: [] },
  ...{ policies: [], objects: [] },
};
const manifest = (more: Partial<FoundManifest> = {}): FoundManifest => ({
  ref: { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'settings' },
  isThere: false,
  ...more,
});

const rows: [string, Manifest[], FoundManifest, string, RegExp][] = [
  ['nothing of it is there', [deployment, settings], manifest(), 'ManifestsTaken', /^The cluster takes ConfigMap/],
  [
    'an object is somebody else’s',
    [deployment, settings],
    manifest({ isThere: true }),
    'ObjectExists',
    /^ConfigMap shop\/settings exists: leave it out/,
  ],
  [
    'an object is another migration’s',
    [deployment, settings],
    manifest({ isThere: true, migration: 'other' }),
    'ObjectExists',
    /settings/,
  ],
  [
    'a run before has left an object',
    [deployment, settings],
    manifest({ isThere: true, migration: 'move' }),
    'ManifestsTaken',
    /settings/,
  ],
  [
    'the API server refuses one',
    [deployment],
    manifest({ fault: { type: 'ObjectRejected', message: 'no field .spec.replcas' } }),
    'ManifestRefused',
    /^no field \.spec\.replcas$/,
  ],
  [
    'Meshlift may not make one',
    [deployment],
    manifest({ fault: { type: 'ClusterForbidden', message: 'configmaps is forbidden' } }),
    'ManifestRefused',
    /bind ClusterRole meshlift-manifests in namespace shop$/,
  ],
  [
    'one is of another namespace',
    [{ ...deployment, metadata: { name: 'orders', namespace: 'bank' } }],
    manifest(),
    'OtherNamespace',
    /^Deployment bank\/orders are of another namespace/,
  ],
  [
    'one is of no kind that there is',
    [deployment, { ...settings, apiVersion: 'apps/v1' }],
    manifest(),
    'KindUnknown',
    /^There is no ConfigMap of apps\/v1;/,
  ],
  ['one is there twice', [deployment, settings, settings], manifest(), 'ManifestTwice', /ConfigMap settings/],
];

test.each(rows)('is judged where %s', (_, manifests, found, reason, message) => {
  const input = { request: requestOf(manifests), facts: { ...facts, manifests: [found] }, machines: [] };
  const conditions = cutoverConditions(input, now);
  expect(conditions.find(({ type }) => type === 'ManifestsTaken')).toMatchObject({
    status: reason === 'ManifestsTaken' ? 'True' : 'False',
    reason,
    message: expect.stringMatching(message) as unknown,
  });
  // One finding is enough: that there is no Deployment is no news.
  expect(conditions.some(({ reason: other }) => other === 'DeploymentMissing')).toBe(false);
});

test('a tool that keeps the Deployment is no obstacle once it is paused', () => {
  const kept = {
    ...{ replicas: 0, readyReplicas: 0, gitOps: ['Flux'], labels: {}, isInjected: true, serviceAccount: 'orders' },
    containers: [],
  };
  const gateway = { namespace: 'shop', virtualService: 'edge', route: 'orders', destinations: [], gitOps: ['Helm'] };
  const reasons = (more: Partial<CreateMigration>) =>
    cutoverConditions(
      {
        request: requestOf([], {
          ...{ target: { deployment: 'orders' }, ownGatewayRoutes: [{ virtualService: 'edge', route: 'orders' }] },
          ...more,
        }),
        facts: { ...facts, deployment: kept, gatewayRoutes: [gateway] },
        machines: [],
      },
      now,
    )
      .filter(({ reason }) => reason === 'ManagedByGitOps')
      .map(({ message }) => message);
  expect(reasons({})).toEqual([
    expect.stringContaining('managed by Flux'),
    expect.stringContaining('shop/edge (Helm)'),
  ]);
  expect(reasons({ gitops: 'paused' })).toEqual([]);
});

describe('manifests', () => {
  const owner = { namespace: 'shop', migration: 'move' };

  test('are rendered marked, without a pod, the Deployment last', () => {
    expect(renderManifests([deployment, settings], owner)).toEqual([
      {
        ...settings,
        metadata: {
          ...{ name: 'settings', namespace: 'shop' },
          labels: { team: 'a', 'app.kubernetes.io/managed-by': 'meshlift', 'meshlift.dev/migration': 'move' },
        },
      },
      {
        ...deployment,
        metadata: {
          ...{ name: 'orders', namespace: 'shop' },
          labels: { 'app.kubernetes.io/managed-by': 'meshlift', 'meshlift.dev/migration': 'move' },
        },
        spec: { replicas: 0, template: {} },
      },
    ]);
  });

  test('are handed over with the labels of their owner', () => {
    expect([deployment, settings].map(unmarked)).toEqual([
      { 'app.kubernetes.io/managed-by': null, 'meshlift.dev/migration': null },
      { 'app.kubernetes.io/managed-by': 'team-a', 'meshlift.dev/migration': null },
    ]);
  });

  test('say which Deployment it is, and how many pods it is to have', () => {
    const request = requestOf([settings, deployment]);
    expect(deploymentOf(request.target)).toBe('orders');
    expect(replicasOf({ request, facts, machines: [] })).toBe(3);
    const fewer = requestOf([], { target: { manifests: [deployment], replicas: 2 } });
    expect(replicasOf({ request: fewer, facts, machines: [] })).toBe(2);
    const unsaid = requestOf([{ ...deployment, spec: {} }]);
    expect(replicasOf({ request: unsaid, facts, machines: [] })).toBe(1);
    expect(cutoverSteps(request).slice(0, 5)).toEqual([
      ...['claimMachines', 'applySubsets', 'guardService', 'applyManifests', 'startPods'],
    ]);
  });
});

test.each<[string, unknown, unknown, string[]]>([
  ['all is kept', { a: { b: [1, 'x'] } }, { a: { b: [1, 'x'], c: 2 } }, []],
  ['a value is written in another way', { cpu: '1000m' }, { cpu: '1' }, []],
  ['a field is not known', { a: { b: 1, typo: 2 } }, { a: { b: 1 } }, ['.a.typo']],
  ['one of a list is not known', { a: [{ b: 1 }, { typo: 'x' }] }, { a: [{ b: 1 }, {}] }, ['.a.1.typo']],
  ['what says nothing is left out', { a: { b: false, c: [], d: '', e: null, f: {} } }, { a: {} }, []],
])('fields lost are told where %s', (_, asked, kept, lost) => {
  expect(fieldsLost(asked, kept)).toEqual(lost);
});
