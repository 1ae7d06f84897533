/**
 * Changes what a Service selects for the time of a migration. What its owner wrote stands in an annotation until it is restored, with
 * the field managers that had written it: a write takes that from them.
 */
import { type KubernetesObject as ClientObject, PatchStrategy } from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import type { Selection } from '../ports/cutover-port.ts';
import { pushAnnotation } from '../render/cutover-routes.ts';
import { manager } from '../render/names.ts';
import { asClusterFailure, found, type KubernetesClient } from './kubernetes-client.ts';

const heldAnnotation = 'meshlift.dev/selector';

type Labels = Readonly<Record<string, string>>;

interface Held {
  readonly migration: string;
  readonly selector: Labels;
  readonly managers: readonly string[];
}

/** As the API server tells who wrote which fields. */
interface Entry {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: object;
}

type RawService = ClientObject & {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly managedFields?: readonly Entry[] };
  readonly spec?: { readonly selector?: Labels };
};

interface Annotated {
  readonly metadata?: { readonly annotations?: Labels };
}

/** What its owner wrote, where a migration has it. */
export function heldSelector({ metadata }: Annotated): Held | undefined {
  const text = metadata?.annotations?.[heldAnnotation];
  return text === undefined ? undefined : (JSON.parse(text) as Held);
}

export async function selectEndpoints(client: KubernetesClient, selection: Selection): Promise<boolean> {
  const { namespace, service, migration, selector, push } = selection;
  const place = `Service ${namespace}/${service}`;
  return await asClusterFailure(`Selector of ${place}`, async () => {
    const there = await found(client.objects.read<RawService>(refTo(namespace, service)));
    if (there === undefined) return false;
    const held = heldSelector(there) ?? {
      ...{ migration, selector: there.spec?.selector ?? {} },
      managers: (there.metadata.managedFields ?? []).filter(ownsSelector).map(keyOf),
    };
    if (held.migration !== migration) {
      throw failure(
        'ObjectExists',
        `Migration ${held.migration} has ${place} meanwhile; wait for its end, or cancel it`,
      );
    }
    await patch(client, there, {
      metadata: { annotations: { [heldAnnotation]: JSON.stringify(held) }, labels: { [pushAnnotation]: push } },
      spec: { selector: replaced(there, selector) },
    });
    return true;
  });
}

/** The second write changes nothing but whose the fields are: what the first one changed is Meshlift's by it. */
export async function restoreSelector(
  client: KubernetesClient,
  { namespace, service, migration }: Pick<Selection, 'namespace' | 'service' | 'migration'>,
): Promise<void> {
  await asClusterFailure(`Selector of Service ${namespace}/${service}`, async () => {
    const there = await found(client.objects.read<RawService>(refTo(namespace, service)));
    if (there === undefined) return;
    const held = heldSelector(there);
    const isOurs = held?.migration === migration;
    if (!isOurs) return;
    const managers = new Set(held.managers);
    const given = await patch(client, there, {
      metadata: { labels: { [pushAnnotation]: null } },
      spec: { selector: replaced(there, held.selector) },
    });
    const managedFields = (given.metadata.managedFields ?? [])
      .filter(({ manager: of }) => of !== manager)
      .map((entry) => (managers.has(keyOf(entry)) ? withSelector(entry) : entry));
    await patch(client, given, { metadata: { annotations: { [heldAnnotation]: null }, managedFields } });
  });
}

const refTo = (namespace: string, name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
});

interface Change {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** With the resourceVersion that was read: a write in between is a conflict, which is tried again. */
async function patch({ objects }: KubernetesClient, { metadata }: RawService, change: Change): Promise<RawService> {
  const { name, namespace, resourceVersion = '' } = metadata;
  const body = {
    ...{ apiVersion: 'v1', kind: 'Service', ...change },
    metadata: { name, namespace, resourceVersion, ...change.metadata },
  };
  return await objects.patch<RawService>(body, undefined, undefined, manager, undefined, PatchStrategy.MergePatch);
}

/** A merge leaves keys that it does not name. */
function replaced({ spec }: RawService, selector: Labels): Readonly<Record<string, string | null>> {
  const gone = Object.keys(spec?.selector ?? {}).filter((key) => !(key in selector));
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...selector };
}

/** A manager may have written by apply and by update, each with fields of its own. */
const keyOf = ({ manager: name = '', operation = '', subresource = '' }: Entry): string =>
  `${name}/${operation}/${subresource}`;

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = ({ fieldsV1 }: Entry): Fields => (fieldsV1 ?? {}) as Fields;
const specOf = (entry: Entry): Fields => (fieldsOf(entry)['f:spec'] ?? {}) as Fields;
const ownsSelector = (entry: Entry): boolean => 'f:selector' in specOf(entry);

const withSelector = (entry: Entry): Entry => ({
  ...entry,
  fieldsV1: { ...fieldsOf(entry), 'f:spec': { ...specOf(entry), 'f:selector': {} } },
});
