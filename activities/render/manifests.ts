/** The objects that a migration brings along, as it applies them: marked as its own, and without a pod. */
import type { Manifest } from '../../api/schemas/migration.ts';
import type { KubernetesObject } from '../ports/cluster-port.ts';
import { migrationLabel } from './cutover-routes.ts';
import { managedByLabel, manager } from './names.ts';

interface Owner {
  readonly namespace: string;
  readonly migration: string;
}

/** In the order given, the Deployment last: its pods find what they need. */
export function renderManifests(
  manifests: readonly Manifest[],
  { namespace, migration }: Owner,
): readonly KubernetesObject[] {
  const isDeployment = ({ kind }: Manifest): boolean => kind === 'Deployment';
  const ordered = [...manifests.filter((one) => !isDeployment(one)), ...manifests.filter(isDeployment)];
  return ordered.map((manifest) => {
    const labels = { ...manifest.metadata.labels, [managedByLabel]: manager, [migrationLabel]: migration };
    return {
      ...manifest,
      metadata: { ...manifest.metadata, namespace, labels },
      ...(isDeployment(manifest) ? { spec: { ...manifest.spec, replicas: 0 } } : {}),
    };
  });
}

/** What takes the marks of a migration off again: labels as their owner wrote them. */
export function unmarked({ metadata: { labels = {} } }: Manifest): Readonly<Record<string, string | null>> {
  return { [managedByLabel]: labels[managedByLabel] ?? null, [migrationLabel]: labels[migrationLabel] ?? null };
}

/** Paths of what was asked for and is not in what the API server would keep: it has no such field. */
export function fieldsLost(asked: unknown, kept: unknown, path = ''): readonly string[] {
  if (isEmpty(asked)) return [];
  if (kept === undefined) return [path];
  if (typeof asked !== 'object' || typeof kept !== 'object' || asked === null || kept === null) return [];
  const of = kept as Readonly<Record<string, unknown>>;
  return Object.entries(asked).flatMap(([key, inner]) => fieldsLost(inner, of[key], `${path}.${key}`));
}

/** The API server keeps no field that says what it would say without it. */
function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isEmpty);
  return value === undefined || value === null || value === '' || value === 0 || value === false;
}
