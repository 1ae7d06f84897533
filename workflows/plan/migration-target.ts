/** Where a migration is to lead: a Deployment that is there, or one that its request brings along. */
import type { KubernetesObject, ObjectRef } from '../../activities/ports/cluster-port.ts';
import { renderManifests } from '../../activities/render/manifests.ts';
import { describeObject, refOf } from '../../activities/render/object-ref.ts';
import type { CreateMigration, Manifest } from '../../api/schemas/migration.ts';

type Target = CreateMigration['target'];

/** None where the Deployment is there. */
export const manifestsOf = (target: Target): readonly Manifest[] => ('manifests' in target ? target.manifests : []);

/** The schema demands that there is exactly one. */
const deploymentManifest = (target: Target): Manifest | undefined =>
  manifestsOf(target).find(({ kind }) => kind === 'Deployment');

/** Name of the Deployment. */
export const deploymentOf = (target: Target): string =>
  'deployment' in target ? target.deployment : (deploymentManifest(target)?.metadata.name ?? '');

/** As many pods as the request says, or its manifest; undefined where neither does. */
export function replicasAsked(target: Target): number | undefined {
  const { replicas } = (deploymentManifest(target)?.spec ?? {}) as { readonly replicas?: unknown };
  return target.replicas ?? (typeof replicas === 'number' && replicas > 0 ? replicas : undefined);
}

const versions: Readonly<Record<Manifest['kind'], string>> = {
  Deployment: 'apps/v1',
  ServiceAccount: 'v1',
  ConfigMap: 'v1',
};

/** Those that name another apiVersion than their kind has: no API server knows them. */
export const misnamed = (target: Target): readonly Manifest[] =>
  manifestsOf(target).filter(({ apiVersion, kind }) => apiVersion !== versions[kind]);

/** As they are applied; none where one is misnamed. */
export const appliedManifests = ({ target, namespace, name }: CreateMigration): readonly KubernetesObject[] =>
  misnamed(target).length > 0 ? [] : renderManifests(manifestsOf(target), { namespace, migration: name });

export function listManifests(manifests: readonly KubernetesObject[]): {
  readonly refs: readonly ObjectRef[];
  readonly named: string;
} {
  const refs = manifests.map(refOf);
  return { refs, named: refs.map(describeObject).join(', ') };
}
