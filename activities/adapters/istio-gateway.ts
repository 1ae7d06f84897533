/** Reads where machines outside the cluster's network reach istiod: the east-west gateway's address. */
import { lookup } from 'node:dns/promises';

import type { ClusterFacts } from '../ports/cluster-port.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

const gatewayService = 'istio-eastwestgateway';

/** Address order as istioctl has it, and beyond it the addresses of a gateway that is published by a DNS name. */
export async function readGateway(client: KubernetesClient, istioNamespace: string): Promise<ClusterFacts['gateway']> {
  const service = await found(client.core.readNamespacedService({ name: gatewayService, namespace: istioNamespace }));
  const [first] = service?.status?.loadBalancer?.ingress ?? [];
  const ip = first?.ip ?? (first?.hostname === undefined ? service?.spec?.externalIPs?.[0] : undefined);
  if (ip !== undefined) return { ip };
  if (first?.hostname === undefined) return undefined;
  return { hostname: first.hostname, resolved: await resolve(first.hostname) };
}

/** No address where the name does not resolve now: whoever needs one says so. */
async function resolve(hostname: string): Promise<readonly string[]> {
  try {
    return (await lookup(hostname, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
