/** Istio's control plane as pods of one revision, from the manifests that istioctl carries. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import { ensurePart } from '../cache.ts';
import { run } from '../exec.ts';
import { istio } from '../layout.ts';
import { goBuild } from '../parts/go-builds.ts';
import { apply, kubectl, waitForDeployment, type KubernetesObject } from '../kubernetes/kubectl.ts';
import { clusterNetwork, operator } from './operator.ts';

export const istiodName = `istiod-${istio.revision}`;

const namespace: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: istio.namespace, labels: { 'topology.istio.io/network': clusterNetwork } },
};

/** Puts the definitions and then everything else in; needs an API server, not a node. */
export async function applyControlPlane(): Promise<void> {
  const objects = await manifest();
  const definitions = objects.filter((object) => object['kind'] === 'CustomResourceDefinition');
  const others = objects.filter((object) => object['kind'] !== 'CustomResourceDefinition');
  await apply([namespace, ...definitions]);
  await kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=30s']);
  await apply(others);
}

export const waitForIstiod = async (): Promise<void> => {
  await waitForDeployment(istio.namespace, istiodName, 180);
};

async function manifest(): Promise<KubernetesObject[]> {
  const input = JSON.stringify(operator);
  const binaries = await goBuild('istio');
  const key = createHash('sha256').update(binaries).update(input).digest('hex').slice(0, 12);
  const folder = await ensurePart({
    name: 'istio-manifest',
    key,
    build: async (into) => {
      writeFileSync(join(into, 'operator.json'), input);
      const generated = await run(join(binaries, 'istioctl'), [
        'manifest',
        'generate',
        '-f',
        join(into, 'operator.json'),
      ]);
      const objects = parseAllDocuments(generated.stdout).map((document) => document.toJS() as KubernetesObject | null);
      writeFileSync(join(into, 'objects.json'), JSON.stringify(objects.filter((object) => object !== null)));
    },
  });
  return JSON.parse(readFileSync(join(folder, 'objects.json'), 'utf8')) as KubernetesObject[];
}
