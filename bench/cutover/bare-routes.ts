/** Two subsets, their shares and those of the gateway, as one writes them by hand: what Meshlift's own are measured beside. */
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

export async function removeBare(namespace: string): Promise<void> {
  await applyObjects([edge(namespace)]);
  await command('kubectl', '-n', namespace, 'delete', 'virtualservice,destinationrule', 'bare');
}
