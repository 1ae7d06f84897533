/** Somebody's VirtualService that a migration leads and gives back, against a real API server, by the account that deploy/ gives the worker. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';

import { KubernetesCutover } from '../../activities/adapters/kubernetes-cutover.ts';
import type { GatewayRoute } from '../../activities/ports/cutover-port.ts';
import { pushAnnotation, renderGatewayRoute } from '../../activities/render/cutover-routes.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { deployed, migrationsBinding } from '../support/deployed.ts';
import { cutoverTarget } from '../support/cutover-target.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command, kubectl } from '../support/sandbox.ts';

jest.setTimeout(60_000);

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-gateway-routes-'));
let namespace: TestNamespace;
let cutover: KubernetesCutover;

beforeAll(async () => {
  const { worker } = await deployed(await sandboxEnv(), scratch);
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(worker);
  cutover = new KubernetesCutover(kubeConfig, { istioNamespace: 'istio-system' });
  namespace = await testNamespace('routes');
  await applyObjects([migrationsBinding(namespace.name)]);
});

afterAll(async () => {
  await namespace.remove();
  rmSync(scratch, { recursive: true });
});

const host = (): string => `orders.${namespace.name}.svc.cluster.local`;
const edge = (route: string, timeout: string) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'edge', namespace: namespace.name },
  spec: {
    hosts: ['orders.example'],
    gateways: ['istio-system/nowhere'],
    http: [{ name: route, timeout, route: [{ destination: { host: host() } }] }],
  },
});

/** As its owner does, who is told of every field that somebody else has come to manage. */
async function applyAsOwner(object: object, ...more: string[]): Promise<void> {
  const file = join(scratch, 'edge.json');
  writeFileSync(file, JSON.stringify(object));
  await command('kubectl', 'apply', '--server-side', '--field-manager=owner', ...more, '-f', file);
}

interface Edge {
  readonly metadata: {
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly { readonly manager: string }[];
  };
  readonly spec: unknown;
}
const readEdge = (): Promise<Edge> =>
  kubectl<Edge>('-n', namespace.name, 'get', 'virtualservice', 'edge', '--show-managed-fields');

/** What the migration remembers of it. */
const found = (): GatewayRoute => ({
  ...{ namespace: namespace.name, virtualService: 'edge', route: 'orders' },
  destinations: [{ destination: { host: host() } }],
});
const lead = async (weight: number): Promise<void> => {
  await cutover.editRoute(
    renderGatewayRoute(found(), { ...cutoverTarget, namespace: namespace.name, host: host() }, weight),
    `run.${weight}`,
  );
};

test('is its owner’s alone again, who applies it anew without a conflict', async () => {
  await applyAsOwner(edge('orders', '3s'));
  const before = await readEdge();
  await lead(0);
  await lead(50);
  // While it is led, the owner is told.
  await expect(applyAsOwner(edge('orders', '4s'))).rejects.toThrow(/conflict.*"meshlift".*\.spec\.http/s);
  // Twice, as where the worker died before it could tell.
  for (let time = 1; time <= 2; time++) await cutover.editRoute(found(), null);
  const after = await readEdge();
  expect(after.spec).toEqual(before.spec);
  expect(after.metadata.annotations).toBeUndefined();
  expect(after.metadata.managedFields?.map(({ manager }) => manager)).toEqual(['owner']);
  await applyAsOwner(edge('orders', '4s'));
  expect((await readEdge()).spec).toEqual(edge('orders', '4s').spec);
});

test('that its owner has written anew meanwhile loses Meshlift’s mark all the same', async () => {
  await applyAsOwner(edge('orders', '3s'));
  await lead(50);
  await applyAsOwner(edge('other', '3s'), '--force-conflicts');
  await cutover.editRoute(found(), null);
  const { metadata, spec } = await readEdge();
  expect(metadata.annotations?.[pushAnnotation]).toBeUndefined();
  expect(metadata.managedFields?.map(({ manager }) => manager)).toEqual(['owner']);
  expect(spec).toEqual(edge('other', '3s').spec);
  await command('kubectl', '-n', namespace.name, 'delete', 'virtualservice', 'edge');
  await expect(cutover.editRoute(found(), null)).rejects.toMatchObject({ type: 'RouteMissing' });
});
