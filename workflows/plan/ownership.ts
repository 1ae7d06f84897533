/** Which of our objects go with one machine, and which a group's machines share. */
import type { KubernetesObject, ObjectRef } from '../../activities/ports/cluster-port.ts';

const SHARED_KINDS = ['WorkloadGroup', 'ServiceAccount'];

/** Objects of one machine alone: safe to remove with it. */
export function ofOneMachine(refs: readonly ObjectRef[]): ObjectRef[] {
  return refs.filter(({ kind }) => !SHARED_KINDS.includes(kind));
}

export function refOf({ apiVersion, kind, metadata: { namespace, name } }: KubernetesObject): ObjectRef {
  return { apiVersion, kind, namespace, name };
}
