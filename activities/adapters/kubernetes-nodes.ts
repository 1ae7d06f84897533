/** What the cluster's nodes have for pods of a template: read where that is granted, and told where it is not. */
import { ApiException } from '@kubernetes/client-node';

import type { CutoverFacts } from '../ports/cutover-port.ts';
import type { KubernetesClient } from './kubernetes-client.ts';
import { nodesFor, type PodSpec } from './pod-resources.ts';

/** Nodes belong to the cluster's owners: who may not list them is told less, and is not kept from anything. */
export async function readNodes(
  { core }: KubernetesClient,
  spec: PodSpec,
): Promise<Pick<CutoverFacts, 'nodes' | 'nodesUnread'>> {
  try {
    const [nodes, pods] = await Promise.all([
      core.listNode(),
      core.listPodForAllNamespaces({ fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }),
    ]);
    return { nodes: nodesFor(spec, nodes.items, pods.items) };
  } catch (error) {
    if (error instanceof ApiException && error.code === FORBIDDEN) return { nodesUnread: true };
    throw error;
  }
}

const FORBIDDEN = 403;
