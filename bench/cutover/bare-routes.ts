/** Two subsets, their shares and those of the gateway, and the pods, as one moves them by hand: what Meshlift is measured beside. */
import { applyObjects } from '../../demo/target.ts';
import { edge } from '../../test/support/migration-lab.ts';
import { command } from '../../test/support/sandbox.ts';

const apiVersion = 'networking.istio.io/v1';

export async function applyBare(namespace: string, host: string, weight: number): Promise<void> {
  const metadata = { name: 'bare', namespace };
  const to = (subset: string, share: number): object => ({ destination: { host, subset }, weight: share });
  const subsets = [
    { name: 'machines', labels: { 'meshlift.dev/workload-group': 'orders' } },
    { name: 'pods', labels: { version: 'v2' } },
  ];
  const http = [{ route: [to('machines', 100 - weight), to('pods', weight)] }];
  await applyObjects([
    { apiVersion, kind: 'DestinationRule', metadata, spec: { host, subsets } },
    { apiVersion, kind: 'VirtualService', metadata, spec: { hosts: [host], http } },
    edge(namespace, [
      ['machines', 100 - weight],
      ['pods', weight],
    ]),
  ]);
}

export async function scale(namespace: string, replicas: number): Promise<void> {
  const rollout = ['-n', namespace, 'rollout', 'status', 'deployment', 'orders', '--timeout=120s'];
  await command('kubectl', '-n', namespace, 'scale', 'deployment', 'orders', `--replicas=${replicas}`);
  await command('kubectl', ...rollout);
}

export async function removeBare(namespace: string): Promise<void> {
  await applyObjects([edge(namespace)]);
  await command('kubectl', '-n', namespace, 'delete', 'virtualservice,destinationrule', 'bare');
}
