/** Policies that proxies obey: those that anybody but Meshlift made, and beside them Meshlift's own. */
import type { KubernetesObject } from '../ports/cluster-port.ts';
import { managedByLabel, manager } from '../render/names.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

type Policies = readonly KubernetesObject[];
type Place = readonly [apiVersion: string, kind: string, namespace: string];

const authentication = (namespace: string): Place => ['security.istio.io/v1', 'PeerAuthentication', namespace];
const authorization = (namespace: string): Place => ['security.istio.io/v1', 'AuthorizationPolicy', namespace];
const ofOthers = `${managedByLabel}!=${manager}`;
const ofMeshlift = `${managedByLabel}=${manager}`;

/** Sidecars and PeerAuthentications of the namespace, AuthorizationPolicies of both; Istio's own kinds may not be installed. */
export async function readPolicies(
  client: KubernetesClient,
  namespace: string,
  rootNamespace: string,
): Promise<Policies> {
  const lists = await Promise.all([
    listPolicies(client, ['networking.istio.io/v1', 'Sidecar', namespace], ofOthers),
    listPolicies(client, authentication(namespace), ofOthers),
    ...[...new Set([namespace, rootNamespace])].map((where) => listPolicies(client, authorization(where), ofOthers)),
  ]);
  return lists.flat();
}

/** Besides, what says how the rest of the mesh authenticates, and what Meshlift made for machines of the namespace. */
export async function readSidePolicies(
  client: KubernetesClient,
  namespace: string,
  rootNamespace: string,
): Promise<{ readonly policies: Policies; readonly ownPolicies: Policies }> {
  const [policies, ofMesh, ...own] = await Promise.all([
    readPolicies(client, namespace, rootNamespace),
    namespace === rootNamespace ? [] : listPolicies(client, authentication(rootNamespace), ofOthers),
    listPolicies(client, authentication(namespace), ofMeshlift),
    listPolicies(client, authorization(namespace), ofMeshlift),
  ]);
  return { policies: [...policies, ...ofMesh], ownPolicies: own.flat() };
}

async function listPolicies(
  { objects }: KubernetesClient,
  [apiVersion, kind, where]: Place,
  selector: string,
): Promise<Policies> {
  const answer = await found(
    objects.list(apiVersion, kind, where, undefined, undefined, undefined, undefined, selector),
  );
  return (answer?.items ?? []).map((item) => {
    const { metadata, spec } = item as KubernetesObject;
    const { name, namespace } = metadata;
    return { apiVersion, kind, metadata: { name, namespace }, ...(spec === undefined ? {} : { spec }) };
  });
}

/** Top-level field of the mesh's YAML. */
export function rootNamespaceOf(meshConfig: string | undefined): string | undefined {
  return /^rootNamespace:\s*["']?([a-z0-9-]+)/m.exec(meshConfig ?? '')?.[1];
}
