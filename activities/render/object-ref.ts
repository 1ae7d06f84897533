/** How objects of the cluster are pointed at, and named in messages. */
import type { KubernetesObject, ObjectRef } from '../ports/cluster-port.ts';

export const refOf = ({ apiVersion, kind, metadata: { namespace, name } }: KubernetesObject): ObjectRef => ({
  apiVersion,
  kind,
  namespace,
  name,
});

/** `VirtualService shop/orders`. */
export const describeObject = ({ kind, namespace, name }: Omit<ObjectRef, 'apiVersion'>): string =>
  `${kind} ${namespace}/${name}`;
