/** Policies that anybody but Meshlift made: the machine's proxy would obey them beside its own. */
import type { KubernetesObject } from '../ports/cluster-port.ts';
import { managedByLabel, manager } from '../render/names.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

/** Sidecars and PeerAuthentications of the namespace, AuthorizationPolicies of both; Istio's own kinds may not be installed. */
export async function readPolicies(
  client: KubernetesClient,
  namespace: string,
  rootNamespace: string,
): Promise<readonly KubernetesObject[]> {
  const list = async (apiVersion: string, kind: string, where: string): Promise<readonly KubernetesObject[]> => {
    const selector = `${managedByLabel}!=${manager}`;
    const answer = await found(
      client.objects.list(apiVersion, kind, where, undefined, undefined, undefined, undefined, selector),
    );
    return (answer?.items ?? []).map((item) => {
      const { metadata, spec } = item as KubernetesObject;
      const { name, namespace: place } = metadata;
      return { apiVersion, kind, metadata: { name, namespace: place }, ...(spec === undefined ? {} : { spec }) };
    });
  };
  const lists = await Promise.all([
    list('networking.istio.io/v1', 'Sidecar', namespace),
    list('security.istio.io/v1', 'PeerAuthentication', namespace),
    ...[...new Set([namespace, rootNamespace])].map((where) =>
      list('security.istio.io/v1', 'AuthorizationPolicy', where),
    ),
  ]);
  return lists.flat();
}

/** Top-level field of the mesh's YAML. */
export function rootNamespaceOf(meshConfig: string | undefined): string | undefined {
  return /^rootNamespace:\s*["']?([a-z0-9-]+)/m.exec(meshConfig ?? '')?.[1];
}
