/** Objects that a migration brings along: tried out before anything is touched, and handed over to their owner at the end. */
import { isDeepStrictEqual } from 'node:util';

import {
  type KubernetesObject as ClientObject,
  PatchStrategy,
  V1DeleteOptions,
  type V1Deployment,
  V1Preconditions,
} from '@kubernetes/client-node';
import { ApplicationFailure } from '@temporalio/common';

import { failure } from '../failures.ts';
import type { KubernetesObject, ObjectRef } from '../ports/cluster-port.ts';
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
  metadata: {
    name: string;
    namespace: string;
    uid?: string;
    resourceVersion?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
};

/** A dry run: the API server and its webhooks judge it, and nothing is kept. */
export async function tryOut({ objects }: KubernetesClient, manifest: KubernetesObject): Promise<TriedOut> {
  const ref = refOf(manifest);
  let facts: FoundManifest = { ref, isThere: false };
  try {
    return await asClusterFailure(describeObject(ref), async () => {
      const there = await readObject(objects, ref);
      const migration = there?.metadata.labels?.[migrationLabel];
      facts = { ref, isThere: there !== undefined, ...(migration === undefined ? {} : { migration }) };
      // Nobody else's object is written to, not even for a try.
      if (there !== undefined && !isOf(there, manifest.metadata.labels?.[migrationLabel])) return { found: facts };
      const dryRun = [undefined, 'All', manager, true, PatchStrategy.ServerSideApply] as const;
      const made = await objects.patch<Writable>(manifest, ...dryRun);
      if (there !== undefined) facts = { ...facts, isSame: isDeepStrictEqual(contentOf(there), contentOf(made)) };
      const lost = fieldsLost(manifest, made);
      const message = `${describeObject(ref)}: its kind has no field ${lost.join(', ')}; correct it`;
      return {
        found: lost.length === 0 ? facts : { ...facts, fault: { type: 'ObjectRejected', message } },
        ...(ref.kind === 'Deployment' ? { deployment: made } : {}),
      };
    });
  } catch (error) {
    if (!(error instanceof ApplicationFailure) || !refusals.includes(error.type ?? '')) throw error;
    return { found: { ...facts, fault: { type: error.type ?? '', message: error.message } } };
  }
}

export async function makeManifest({ objects }: KubernetesClient, manifest: KubernetesObject): Promise<void> {
  const ref = refOf(manifest);
  await asClusterFailure(`Apply of ${describeObject(ref)}`, async () => {
    const there = await readObject(objects, ref);
    if (there !== undefined && !isOf(there, manifest.metadata.labels?.[migrationLabel])) {
      throw failure(
        'ObjectExists',
        `${describeObject(ref)} was made by somebody else meanwhile; leave it out of the manifests`,
      );
    }
    await objects.patch<Writable>(manifest, undefined, undefined, manager, true, PatchStrategy.ServerSideApply);
  });
}

export async function unmakeManifest({ objects }: KubernetesClient, ref: ObjectRef, migration: string): Promise<void> {
  await asClusterFailure(`Removal of ${describeObject(ref)}`, async () => {
    const there = await readObject(objects, ref);
    if (there === undefined || !isOf(there, migration)) return;
    const { uid = '' } = there.metadata;
    const body = Object.assign(new V1DeleteOptions(), { preconditions: Object.assign(new V1Preconditions(), { uid }) });
    await found(objects.delete(there, undefined, undefined, undefined, undefined, 'Background', body));
  });
}

async function readObject(
  objects: KubernetesClient['objects'],
  { apiVersion, kind, namespace, name }: ObjectRef,
): Promise<Writable | undefined> {
  return await found(objects.read<Writable>({ apiVersion, kind, metadata: { namespace, name } }));
}

/** Without what the API server keeps by itself, of either. */
function contentOf(object: Writable): unknown {
  const { labels, annotations } = object.metadata;
  const fields = Object.entries({ ...object, metadata: { labels, annotations } });
  return JSON.parse(JSON.stringify(Object.fromEntries(fields.filter(([key]) => key !== 'status'))));
}

const isOf = ({ metadata }: Writable, migration: string | undefined): boolean =>
  migration !== undefined && metadata.labels?.[migrationLabel] === migration;

/** The API server has judged it, and will not take it. */
const refusals: readonly string[] = ['ObjectRejected', 'ClusterForbidden'];

/**
 * `labels`: null takes one away. An empty entry takes every field manager away [kubernetes.io, Server-Side Apply]. What does not carry
 * the migration's mark any more is its owner's already.
 */
export async function handOver({ objects }: KubernetesClient, { ref, migration, labels }: HandOver): Promise<void> {
  const { apiVersion, kind, namespace, name } = ref;
  await asClusterFailure(`Hand-over of ${describeObject(ref)}`, async () => {
    const there = await readObject(objects, ref);
    if (there === undefined || !isOf(there, migration)) return;
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
