/** What a migration brings along, against a real API server, by the account that deploy/ gives the worker. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';

import { KubernetesCluster } from '../../activities/adapters/kubernetes-cluster.ts';
import { KubernetesCutover } from '../../activities/adapters/kubernetes-cutover.ts';
import type { CutoverFacts } from '../../activities/ports/cutover-port.ts';
import { renderManifests, unmarked } from '../../activities/render/manifests.ts';
import { refOf } from '../../activities/render/object-ref.ts';
import type { Manifest } from '../../api/schemas/migration.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { deployed, machinesBinding, manifestsBinding, migrationsBinding } from '../support/deployed.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { kubectl } from '../support/sandbox.ts';

jest.setTimeout(60_000);

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-manifests-'));
let namespace: TestNamespace;
let cluster: KubernetesCluster;
let cutover: KubernetesCutover;

beforeAll(async () => {
  const { worker } = await deployed(await sandboxEnv(), scratch);
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(worker);
  cluster = new KubernetesCluster(kubeConfig, { istioNamespace: 'istio-system', meshliftNamespace: 'meshlift-system' });
  cutover = new KubernetesCutover(kubeConfig, { istioNamespace: 'istio-system' });
  namespace = await testNamespace('manifests');
  const bindings = [machinesBinding, migrationsBinding, manifestsBinding];
  await applyObjects(bindings.map((binding) => binding(namespace.name)));
});

afterAll(async () => {
  await namespace.remove();
  rmSync(scratch, { recursive: true });
});

const labels = { app: 'orders', version: 'v2' };
const spec = {
  replicas: 3,
  selector: { matchLabels: labels },
  template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'orders:2' }] } },
};
const deployment = (more: object = {}): Manifest => ({
  ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'orders' } },
  spec: { ...spec, ...more },
});
const settings = (data: Record<string, string>, name = 'settings'): Manifest => ({
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { team: 'shop' } } },
  data,
});
const rendered = (...manifests: Manifest[]) =>
  renderManifests(manifests, { namespace: namespace.name, migration: 'move' });

async function factsOf(...manifests: Manifest[]): Promise<CutoverFacts> {
  const query = { namespace: namespace.name, workloadGroup: 'orders', service: 'orders', deployment: 'orders' };
  return await cutover.readFacts({ ...query, migration: 'move', manifests: rendered(...manifests) });
}

test('are tried out without a trace, and read as the API server would keep them', async () => {
  const facts = await factsOf(deployment(), settings({ mode: 'fast' }));
  expect(facts.manifests).toMatchObject([
    { ref: { kind: 'ConfigMap' }, isThere: false },
    { ref: { kind: 'Deployment' }, isThere: false },
  ]);
  expect(facts.manifests?.flatMap(({ fault }) => fault ?? [])).toEqual([]);
  expect(facts.deployment).toMatchObject({ replicas: 0, labels, serviceAccount: 'default' });
  const image = { image: 'orders:2', pullPolicy: 'IfNotPresent', onNodes: 0 };
  expect(facts.nodes).toMatchObject({ count: 1, images: [image] });
  expect(facts.nodes?.podsThatFit).toBeGreaterThan(0);
  const { items } = await kubectl<{ items: unknown[] }>('-n', namespace.name, 'get', 'deployments');
  expect(items).toEqual([]);
});

test.each<[string, () => Manifest, RegExp]>([
  ['a field that its kind does not have', () => deployment({ replcas: 2 }), /no field \.spec\.replcas/],
  ['a field of another kind', () => ({ ...settings({}), spec: { replicas: 1 } }), /\.spec/],
  ['a selector that does not fit', () => deployment({ selector: { matchLabels: { app: 'other' } } }), /selector/],
  ['a value of another type', () => deployment({ minReadySeconds: 'soon' }), /minReadySeconds|expected|int/],
])('%s is a fault', async (_title, manifest, wanted) => {
  const { manifests = [] } = await factsOf(manifest());
  expect(manifests.map(({ fault }) => fault?.message)).toEqual([expect.stringMatching(wanted)]);
});

test('what is somebody else’s is told, and not even tried', async () => {
  const others = settings({ mode: 'slow' }, 'others');
  await applyObjects([{ ...others, metadata: { ...others.metadata, namespace: namespace.name } }]);
  const { manifests } = await factsOf(others);
  expect(manifests).toEqual([{ ref: refOf(rendered(others)[0] ?? unreachable()), isThere: true }]);
  const failed = { type: 'ObjectExists' };
  await expect(cutover.make(rendered(others)[0] ?? unreachable())).rejects.toMatchObject(failed);
  await cutover.unmake(refOf(rendered(others)[0] ?? unreachable()), 'move');
  expect((await factsOf(others)).manifests).toMatchObject([{ isThere: true }]);
  await expect(cluster.apply(rendered(others))).rejects.toThrow(/brought along alone/);
});

test('are made, known again, and removed by their own migration alone', async () => {
  const mine = settings({ mode: 'fast' }, 'mine');
  const [object = unreachable()] = rendered(mine);
  // Twice, as where the worker died before it could tell.
  for (let time = 1; time <= 2; time++) await cutover.make(object);
  const [others = unreachable()] = renderManifests([mine], { namespace: namespace.name, migration: 'other' });
  await expect(cutover.make(others)).rejects.toMatchObject({ type: 'ObjectExists' });
  await expect(cluster.apply([others])).rejects.toThrow(/to no other/);
  await cutover.unmake(refOf(object), 'other');
  expect((await factsOf(mine)).manifests).toMatchObject([{ isThere: true, migration: 'move', isSame: true }]);
  expect((await factsOf(settings({ mode: 'slow' }, 'mine'))).manifests).toMatchObject([{ isSame: false }]);
  for (let time = 1; time <= 2; time++) await cutover.unmake(refOf(object), 'move');
  expect((await factsOf(mine)).manifests).toMatchObject([{ isThere: false }]);
});

test('are handed over as their owner wrote them', async () => {
  const all = [settings({ mode: 'fast' }), deployment()];
  for (const object of rendered(...all)) await cutover.make(object);
  expect((await factsOf(...all)).manifests).toMatchObject([{ migration: 'move' }, { migration: 'move' }]);
  for (const [index, object] of rendered(...all).entries()) {
    const handOver = { ref: refOf(object), migration: 'move', labels: unmarked(all[index] ?? unreachable()) };
    await cutover.handOver({ ...handOver, migration: 'other' });
    // Twice, as where the worker died before it could tell.
    for (let time = 1; time <= 2; time++) await cutover.handOver(handOver);
  }
  // What was handed over is somebody else's from then on.
  expect((await factsOf(...all)).manifests?.map(({ migration }) => migration)).toEqual([undefined, undefined]);
  const { metadata } = await kubectl<{ metadata: { labels: object; managedFields?: unknown } }>(
    ...['-n', namespace.name, 'get', 'configmap', 'settings', '--show-managed-fields'],
  );
  expect(metadata).toMatchObject({ labels: { team: 'shop' } });
  expect(metadata.labels).toEqual({ team: 'shop' });
  expect(metadata.managedFields).toBeUndefined();
});

const unreachable = (): never => {
  throw new Error('unreachable');
};
