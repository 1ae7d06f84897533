/** Who writes to an object, by what the API server keeps of that. */
import { PatchStrategy } from '@kubernetes/client-node';

import type { ObjectRef } from '../ports/cluster-port.ts';
import { manager } from '../render/names.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

/** Times are text where an object was listed without its kind. */
export interface ManagedFields<Time = Date | string> {
  readonly manager?: string;
  readonly time?: Time;
  readonly subresource?: string;
}

interface Managed {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    name: string;
    namespace: string;
    resourceVersion?: string;
    managedFields?: ManagedFields<Date>[];
  };
}

/** Field manager of the last write, where it is known; whoever keeps the object's status up to date is none. */
export function lastEditorOf({ managedFields = [] }: { readonly managedFields?: readonly ManagedFields[] }): {
  readonly lastEditor?: string;
} {
  const writes = managedFields.filter(({ subresource }) => subresource === undefined);
  const [last] = writes.toSorted((one, other) => timeOf(other) - timeOf(one));
  return last?.manager === undefined ? {} : { lastEditor: last.manager };
}

const timeOf = ({ time }: ManagedFields): number => (time === undefined ? 0 : new Date(time).getTime());

/**
 * Takes Meshlift away from the field managers, so that the owner's next server-side apply meets no conflict; in a write of its own, since
 * whoever changes a field becomes its manager. An empty list says nothing to the API server, an empty entry does [kubernetes.io,
 * Server-Side Apply].
 */
export async function disown({ objects }: KubernetesClient, ref: ObjectRef): Promise<void> {
  const { apiVersion, kind, namespace, name } = ref;
  const object = await found(objects.read<Managed>({ apiVersion, kind, metadata: { name, namespace } }));
  const { managedFields = [], resourceVersion = '' } = object?.metadata ?? {};
  const others = managedFields.filter((entry) => entry.manager !== manager);
  if (others.length === managedFields.length) return;
  const metadata = { namespace, name, resourceVersion, managedFields: others.length === 0 ? [{}] : others };
  await objects.patch(
    { apiVersion, kind, metadata },
    undefined,
    undefined,
    manager,
    undefined,
    PatchStrategy.MergePatch,
  );
}
