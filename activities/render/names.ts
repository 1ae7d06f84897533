/** The names that Meshlift gives to what it makes in the cluster. */

export const machineLabel = 'meshlift.dev/machine';
export const groupLabel = 'meshlift.dev/workload-group';
export const managedByLabel = 'app.kubernetes.io/managed-by';
export const manager = 'meshlift';
/** Of a machine's objects: the host that it is, so that no other machine claims it. */
export const hostKeyAnnotation = 'meshlift.dev/host-key';
export const hostPlaceAnnotation = 'meshlift.dev/host';

export const machineObjectName = (machine: string): string => `meshlift-${machine}`;

/** A WorkloadGroup's name as a label value: names over 63 characters are cut and told apart by a digest (FNV-1a). */
export function groupLabelValue(workloadGroup: string): string {
  if (workloadGroup.length <= 63) return workloadGroup;
  let digest = 0x811c9dc5;
  for (const char of workloadGroup) digest = Math.imul(digest ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return `${workloadGroup.slice(0, 54)}-${digest.toString(16).padStart(8, '0')}`;
}

/** `default` (and nothing) names the unrevisioned istiod, whose names carry no revision. */
export const isRevisioned = (revision: string): boolean => revision !== '' && revision !== 'default';

export const istiodHost = (revision: string, istioNamespace: string): string =>
  `istiod${isRevisioned(revision) ? `-${revision}` : ''}.${istioNamespace}.svc`;

export const istiodAddress = (revision: string, istioNamespace: string): string =>
  `${istiodHost(revision, istioNamespace)}:15012`;
