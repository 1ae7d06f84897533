/** What a Service selects, changed and restored against a real API server, by the account that deploy/ gives the worker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { KubeConfig, KubernetesObjectApi, PatchStrategy, V1ObjectMeta } from '@kubernetes/client-node';

import { KubernetesCutover } from '../../activities/adapters/kubernetes-cutover.ts';
import type { CutoverTarget } from '../../activities/render/cutover-routes.ts';
import { refOf } from '../../activities/render/object-ref.ts';
import { renderSides } from '../../activities/render/service-sides.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { cutoverTarget } from '../support/cutover-target.ts';
import { deployed, machinesBinding, migrationsBinding, selectorsBinding } from '../support/deployed.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command, kubectl } from '../support/sandbox.ts';

jest.setTimeout(60_000);

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-selector-'));
let namespace: TestNamespace;
let cutover: KubernetesCutover;
let asWorker: KubernetesObjectApi;

beforeAll(async () => {
  const { worker } = await deployed(await sandboxEnv(), scratch);
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(worker);
  asWorker = KubernetesObjectApi.makeApiClient(kubeConfig);
  cutover = new KubernetesCutover(kubeConfig, { istioNamespace: 'istio-system' });
  namespace = await testNamespace('selector');
  await applyObjects([machinesBinding, migrationsBinding, selectorsBinding].map((binding) => binding(namespace.name)));
});

afterAll(async () => {
  await namespace.remove();
  rmSync(scratch, { recursive: true });
});

const spec = { selector: { app: 'orders' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] };
const service = (name: string, more: object = {}) => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: namespace.name, ...more }, spec },
});

interface Standing {
  readonly metadata: { readonly resourceVersion?: string; readonly labels?: object };
  readonly spec: { readonly selector: object };
}

/** All of it but the number of its last write. */
async function standing(name: string): Promise<Standing> {
  const get = ['get', 'service', name, '--show-managed-fields'];
  const found = await kubectl<Standing>('-n', namespace.name, ...get);
  return { ...found, metadata: { ...found.metadata, resourceVersion: '' } };
}

const selection = (name: string, selector: Readonly<Record<string, string>>, migration = 'move') => ({
  ...{ namespace: namespace.name, service: name, migration, selector, push: '0190a2f4-0b7c-7c3e-9d4a-2f6b8c1d5e3f.1' },
});

const factsOf = async (name: string) =>
  await cutover.readFacts({
    ...{ namespace: namespace.name, workloadGroup: 'orders', service: name, deployment: 'orders' },
    ...{ migration: 'move', bySelector: true },
  });

const owners: readonly [string, (name: string) => Promise<unknown>][] = [
  ['server-side apply', (name) => applyObjects([service(name)])],
  [
    'kubectl apply, with annotations and labels of its own',
    async (name) => {
      const file = join(scratch, `${name}.json`);
      writeFileSync(file, JSON.stringify(service(name, { labels: { team: 'shop' }, annotations: { by: 'hand' } })));
      await command('kubectl', 'apply', '-f', file);
    },
  ],
];

test.each(owners)('is restored to the byte where its owner wrote it by %s', async (_, write) => {
  const name = `orders-${owners.findIndex(([, one]) => one === write)}`;
  await write(name);
  const before = await standing(name);
  await cutover.selectEndpoints(selection(name, { app: 'orders', version: 'v2' }));
  await cutover.selectEndpoints(selection(name, { app: 'orders', side: 'machines' }));
  const held = await standing(name);
  expect(held.spec.selector).toEqual({ app: 'orders', side: 'machines' });
  expect(held.metadata.labels).toMatchObject({
    'istio.io.meshlift.dev/push': expect.stringMatching(/\.1$/) as unknown,
  });
  const facts = await factsOf(name);
  expect(facts.service).toMatchObject({ selector: { app: 'orders' }, heldBy: 'move' });
  expect(facts.objects).toMatchObject([{ kind: 'Service', metadata: { name } }]);
  await cutover.restoreSelector(selection(name, {}, 'another'));
  expect(await standing(name)).toEqual(held);
  await cutover.restoreSelector(selection(name, {}));
  expect(await standing(name)).toEqual(before);
  await cutover.restoreSelector(selection(name, {}));
  expect(await standing(name)).toEqual(before);
  await write(name);
  expect(await standing(name)).toEqual(before);
});

test('is of one migration at a time', async () => {
  await applyObjects([service('taken')]);
  await cutover.selectEndpoints(selection('taken', { app: 'orders', version: 'v2' }, 'first'));
  const second = cutover.selectEndpoints(selection('taken', { app: 'orders', version: 'v2' }));
  await expect(second).rejects.toMatchObject({ type: 'ObjectExists', nonRetryable: true });
  expect((await factsOf('taken')).service).toMatchObject({ selector: { app: 'orders' }, heldBy: 'first' });
});

test('the Services of the sides are made beside it, and no others are touched', async () => {
  await applyObjects([service('plain')]);
  const { service: found, sideServices = [] } = await factsOf('plain');
  expect(sideServices.map(({ ref, isThere, fault }) => [ref.name, isThere, fault])).toEqual([
    ['meshlift-move', false, undefined],
    ['meshlift-move-machines', false, undefined],
  ]);
  const like = found?.like ?? { annotations: {}, spec: {} };
  const target: CutoverTarget = {
    ...{ ...cutoverTarget, migration: 'move', namespace: namespace.name },
    selector: { service: 'plain', selector: { app: 'orders' }, like },
  };
  const sides = renderSides(target, 'run.1');
  for (const side of sides) await cutover.make(side);
  expect((await standing('meshlift-move')).spec).toMatchObject({
    ...{ type: 'ClusterIP', selector: { app: 'orders', version: 'v2' } },
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  });
  const facts = await factsOf('plain');
  expect(facts.otherServices.map(({ name }) => name)).not.toContain('meshlift-move');
  expect(facts.sideServices?.map(({ isThere, migration }) => [isThere, migration])).toEqual([
    [true, 'move'],
    [true, 'move'],
  ]);
  for (const side of sides) await cutover.unmake(refOf(side), 'move');
  expect((await factsOf('plain')).objects).toEqual([]);
});

test('the account may change nothing else of a Service, nor take one away', async () => {
  await applyObjects([service('theirs')]);
  const [namespaced, pushed] = [{ namespace: namespace.name, name: 'theirs' }, 'meshlift'];
  const change = (more: object) =>
    asWorker.patch(
      { apiVersion: 'v1', kind: 'Service', metadata: namespaced, ...more },
      ...([undefined, undefined, pushed, undefined, PatchStrategy.MergePatch] as const),
    );
  const held = { ...namespaced, annotations: { 'meshlift.dev/selector': '{}' } };
  const refused = [
    () => change({ spec: { selector: { app: 'others' } } }),
    () => change({ metadata: held, spec: { ports: [{ name: 'http', port: 81 }] } }),
    () => change({ metadata: held, spec: { externalIPs: ['192.0.2.1'] } }),
    () =>
      asWorker.delete({ apiVersion: 'v1', kind: 'Service', metadata: Object.assign(new V1ObjectMeta(), namespaced) }),
  ];
  for (const ask of refused) {
    await expect(ask()).rejects.toMatchObject({ body: expect.stringMatching(/Meshlift/) as unknown });
  }
  expect(await standing('theirs')).toMatchObject({ spec: { selector: { app: 'orders' }, ports: [{ port: 80 }] } });
});
