/** Objects that a migration brings along: tried out before anything is touched, and handed over to their owner at the end. */
import { type KubernetesObject as ClientObject, PatchStrategy, type V1Deployment } from '@kubernetes/client-node';
import { ApplicationFailure } from '@temporalio/common';

import type { KubernetesObject } from '../ports/cluster-port.ts';
import type { FoundManifest, HandOver } from '../ports/cutover-port.ts';
import { migrationLabel } from '../render/cutover-routes.ts';
import { fieldsLost } from '../render/manifests.ts';
import { manager } from '../render/names.ts';
import { describeObject, refOf } from '../render/object-ref.ts';
import { asClusterFailure, found, type KubernetesClient } from './kubernetes-client.ts';

/** What is read of a Deployment, made or only tried out. */
export type DeploymentLike = Pick<V1Deployment, 'metadata' | 'spec' | 'status'>;

interface TriedOut {
  readonly found: FoundManifest;
  /** As the API server would keep it, where it is the Deployment. */
  readonly deployment?: DeploymentLike;
}

/** The client's types ask for what it could write to. */
type Writable = ClientObject & {
  metadata: { name: string; namespace: string; resourceVersion?: string; labels?: Record<string, string> };
};

/** A dry run: the API server and its webhooks judge it, and nothing is kept. */
export async function tryOut({ objects }: KubernetesClient, manifest: KubernetesObject): Promise<TriedOut> {
  const ref = refOf(manifest);
  const { apiVersion, kind, namespace, name } = ref;
  let facts: FoundManifest = { ref, isThere: false };
  try {
    return await asClusterFailure(describeObject(ref), async () => {
      const there = await found(objects.read<Writable>({ apiVersion, kind, metadata: { namespace, name } }));
      const migration = there?.metadata.labels?.[migrationLabel];
      facts = { ref, isThere: there !== undefined, ...(migration === undefined ? {} : { migration }) };
      // Nobody else's object is written to, not even for a try.
      if (there !== undefined && migration !== manifest.metadata.labels?.[migrationLabel]) return { found: facts };
      const dryRun = [undefined, 'All', manager, true, PatchStrategy.ServerSideApply] as const;
      const made = await objects.patch<Writable>(manifest, ...dryRun);
      const lost = fieldsLost(manifest, made);
      const message = `${describeObject(ref)}: its kind has no field ${lost.join(', ')}; correct it`;
      return {
        found: lost.length === 0 ? facts : { ...facts, fault: { type: 'ObjectRejected', message } },
        ...(kind === 'Deployment' ? { deployment: made } : {}),
      };
    });
  } catch (error) {
    if (!(error instanceof ApplicationFailure) || !refusals.includes(error.type ?? '')) throw error;
    return { found: { ...facts, fault: { type: error.type ?? '', message: error.message } } };
  }
}

/** The API server has judged it, and will not take it. */
const refusals: readonly string[] = ['ObjectRejected', 'ClusterForbidden'];

/**
 * `labels`: null takes one away. An empty entry takes every field manager away [kubernetes.io, Server-Side Apply]. What does not carry
 * the migration's mark any more is its owner's already.
 */
export async function handOver(
  { objects }: KubernetesClient,
  { ref: { apiVersion, kind, namespace, name }, migration, labels }: HandOver,
): Promise<void> {
  await asClusterFailure(`${kind} ${namespace}/${name}`, async () => {
    const header = { apiVersion, kind, metadata: { name, namespace } };
    const there = await found(objects.read<Writable>(header));
    if (there?.metadata.labels?.[migrationLabel] !== migration) return;
    // With the resourceVersion that was read: a write in between is a conflict, which is tried again.
    const { resourceVersion = '' } = there.metadata;
    const metadata = {
      name,
      namespace,
      resourceVersion,
      labels: labels as Record<string, string>,
      managedFields: [{}],
    };
    const change = { apiVersion, kind, metadata };
    await objects.patch(change, undefined, undefined, manager, undefined, PatchStrategy.MergePatch);
  });
}
