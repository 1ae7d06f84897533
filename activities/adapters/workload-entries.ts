/** The WorkloadEntries that istiod registers for machines. */
import { type KubernetesObject, PatchStrategy } from '@kubernetes/client-node';

import type { FoundWorkloadEntry } from '../ports/cluster-port.ts';
import { machineLabel, manager } from '../render/names.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

/** Set by istiod on every entry that it registers. */
export const registeredGroupAnnotation = 'istio.io/autoRegistrationGroup';
const apiVersion = 'networking.istio.io/v1';
const kind = 'WorkloadEntry';

export interface RawEntry {
  readonly metadata?: {
    readonly name?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly address?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type?: string;
      readonly status?: string;
      readonly lastProbeTime?: string;
      readonly message?: string;
    }[];
  };
}

interface RawGroup {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { name: string; namespace: string };
  readonly spec?: { readonly template?: { readonly network?: string } };
}

/** By the name that istiod gives it: group and address, and the group's network where it has one. */
export async function readEntry(
  client: KubernetesClient,
  namespace: string,
  workloadGroup: string,
  address: string,
): Promise<FoundWorkloadEntry | undefined> {
  const read = async (name: string): Promise<FoundWorkloadEntry | undefined> => {
    // istiod cuts names that are too long from the left.
    const header = { apiVersion, kind, metadata: { namespace, name: name.slice(-253) } };
    const entry: RawEntry | undefined = await found(client.objects.read(header));
    const isOfGroup = entry?.metadata?.annotations?.[registeredGroupAnnotation] === workloadGroup;
    return entry !== undefined && isOfGroup && entry.spec?.address === address ? asFound(entry) : undefined;
  };
  const name = `${workloadGroup}-${address.replaceAll(':', '-')}`;
  const plain = await read(name);
  if (plain !== undefined) return plain;
  const group = await found(
    client.objects.read<RawGroup>({ apiVersion, kind: 'WorkloadGroup', metadata: { namespace, name: workloadGroup } }),
  );
  const network = group?.spec?.template?.network ?? '';
  return network === '' ? undefined : await read(`${name}-${network}`);
}

/** By the label that every machine's proxy registers with; of the entry's address nothing is known. */
export async function findEntry(
  client: KubernetesClient,
  namespace: string,
  workloadGroup: string,
  machine: string,
): Promise<FoundWorkloadEntry | undefined> {
  const entries = await listEntries(client, namespace, workloadGroup);
  const entry = entries.find(({ spec }) => spec?.labels?.[machineLabel] === machine);
  return entry && asFound(entry);
}

/** Every entry that istiod has registered for the group. */
export async function listEntries(
  client: KubernetesClient,
  namespace: string,
  workloadGroup: string,
): Promise<readonly RawEntry[]> {
  const { items } = await client.objects.list<RawEntry & KubernetesObject>(apiVersion, kind, namespace);
  return items.filter(({ metadata }) => metadata?.annotations?.[registeredGroupAnnotation] === workloadGroup);
}

function asFound({ metadata, spec, status }: RawEntry): FoundWorkloadEntry {
  const health = status?.conditions?.find(({ type }) => type === 'Healthy');
  const connectedAt = metadata?.annotations?.['istio.io/connectedAt'];
  const controller = metadata?.annotations?.['istio.io/workloadController'];
  return {
    name: metadata?.name ?? '',
    address: spec?.address ?? '',
    labels: { ...spec?.labels, ...metadata?.labels },
    ...(connectedAt === undefined ? {} : { connectedAt }),
    ...(controller === undefined ? {} : { controller }),
    ...(health === undefined
      ? {}
      : {
          healthy: {
            status: health.status ?? 'Unknown',
            ...(health.lastProbeTime === undefined ? {} : { lastProbeTime: health.lastProbeTime }),
            ...(health.message === undefined ? {} : { message: health.message }),
          },
        }),
  };
}

/** istiod reads an endpoint's labels from the spec, overlaid by the metadata: both are set, so that either reader agrees. */
export async function labelEntry(
  client: KubernetesClient,
  namespace: string,
  name: string,
  label: string,
  value: string | null,
): Promise<boolean> {
  const labels = { [label]: value } as Record<string, string>;
  const change = { apiVersion, kind, metadata: { namespace, name, labels }, spec: { labels } };
  const patched = await found(
    client.objects.patch(change, undefined, undefined, manager, undefined, PatchStrategy.MergePatch),
  );
  return patched !== undefined;
}
