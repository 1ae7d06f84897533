/** The objects that docs/istio-resources.md shows are the ones that are applied. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

import { renderRoutes, renderSubsets } from '../../activities/render/cutover-routes.ts';
import { type RenderInput, renderMachineFiles } from '../../activities/render/machine-files.ts';
import { renderSides } from '../../activities/render/service-sides.ts';
import { cutoverTarget, selectorTarget } from '../support/cutover-target.ts';

const input: RenderInput = {
  request: {
    name: 'orders-1',
    namespace: 'shop',
    workloadGroup: 'orders',
    workload: {
      labels: { app: 'orders' },
      ports: { http: 8080, 'tcp-mail': 2525 },
      probe: { httpGet: { port: 8080, path: '/healthz' } },
    },
    host: { address: '192.0.2.10', user: 'ops', credentialsName: 'fleet', hostKey: { trustOnFirstUse: true } },
  },
  cluster: {
    namespaceExists: true,
    namespaceIsAmbient: false,
    serviceAccountExists: false,
    revision: { name: '1-30-0', version: '1.30.0', readyReplicas: 1 },
    meshConfig: 'defaultConfig: {}\n',
    rootCertificate: 'root',
    objects: [],
  },
  machine: {
    hostKeyFingerprint: `SHA256:${'A'.repeat(43)}`,
    hostname: 'orders-1',
    addresses: ['192.0.2.10'],
    ownAddress: '192.0.2.10',
    sshdPorts: [22],
    serverFirstPorts: [2525],
  },
};

const target = { ...cutoverTarget, migration: 'orders-to-pods' };
const push = '0190a2f4-0b7c-7c3e-9d4a-2f6b8c1d5e3f.3';

test('shows every object as it is rendered', async () => {
  const text = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'istio-resources.md'), 'utf8');
  const shown = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, yaml = '']): unknown => parse(yaml));
  const observed = renderMachineFiles({ ...input, enforcement: 'observe' }).objects;
  const enforced = renderMachineFiles({ ...input, enforcement: 'enforce' }).objects;
  const shared = observed.filter(({ kind }) => kind === 'WorkloadGroup' || kind === 'ServiceAccount');
  const own = [...observed, ...enforced].filter(({ kind }) => kind !== 'WorkloadGroup' && kind !== 'ServiceAccount');
  const sides = renderSides({ ...selectorTarget, migration: 'orders-to-pods' }, push);
  expect(shown).toEqual([...shared, ...own, renderSubsets(target, 20, push), renderRoutes(target, 20, push), ...sides]);
});
