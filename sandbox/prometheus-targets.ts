/**
 * A process of the sandbox: lists what Prometheus scrapes, since Debian's build of it finds no pods by itself.
 * Arguments: the kubeconfig, the sandbox's state file, and the file of targets.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { CoreV1Api, KubeConfig, makeInformer, type V1Pod } from '@kubernetes/client-node';

import type { State } from './state.ts';

interface Target {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<'namespace' | 'instance' | 'side', string>>;
}

/** The agent's own metrics and the proxy's, merged [pkg/istio-agent: /stats/prometheus]. */
const AGENT_PORT = 15020;
const LOOK_AGAIN_MS = 1_000;

const [kubeconfig = '', stateFile = '', file = ''] = process.argv.slice(2);

const config = new KubeConfig();
config.loadFromFile(kubeconfig);
const client = config.makeApiClient(CoreV1Api);
const pods = makeInformer<V1Pod>(config, '/api/v1/pods', () => client.listPodForAllNamespaces());
// A watch that ends with an error is not begun again by itself.
pods.on('error', () => {
  void delay(LOOK_AGAIN_MS).then(() => pods.start());
});
await pods.start();

/** Those with a proxy that run. */
function ofPod({ metadata, spec, status }: V1Pod): readonly Target[] {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const hasProxy = containers.some(({ name }) => name === 'istio-proxy');
  if (!hasProxy || status?.phase !== 'Running' || status.podIP === undefined) return [];
  const labels = { namespace: metadata?.namespace ?? '', instance: metadata?.name ?? '', side: 'pods' };
  return [{ targets: [`${status.podIP}:${AGENT_PORT}`], labels }];
}

function ofMachines(): readonly Target[] {
  const { machines } = JSON.parse(readFileSync(stateFile, 'utf8')) as State;
  return machines.map(({ name: instance, namespace, address }) => ({
    targets: [`${address}:${AGENT_PORT}`],
    labels: { namespace, instance, side: 'machines' },
  }));
}

let written = '';
for (;;) {
  const text = JSON.stringify([...pods.list().flatMap(ofPod), ...ofMachines()]);
  if (text !== written) {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
    written = text;
  }
  await delay(LOOK_AGAIN_MS);
}
