/** What the cluster knows of hosts: who may claim which, and which machine has which. */
import type { HostPolicy, KnownMachine } from '../ports/cluster-port.ts';
import { hostKeyAnnotation, hostPlaceAnnotation, machineLabel, managedByLabel, manager } from '../render/names.ts';
import { found, type KubernetesClient } from './kubernetes-client.ts';

interface RawPolicy {
  readonly metadata?: { readonly name?: string };
  readonly spec?: Partial<Omit<HostPolicy, 'name'>>;
}

export async function readHostPolicies({ custom }: KubernetesClient): Promise<readonly HostPolicy[]> {
  const answer = (await found(
    custom.listClusterCustomObject({ group: 'meshlift.dev', version: 'v1alpha1', plural: 'hostpolicies' }),
  )) as { readonly items?: readonly RawPolicy[] } | undefined;
  return (answer?.items ?? []).map(({ metadata, spec = {} }) => ({
    name: metadata?.name ?? '',
    namespaces: spec.namespaces ?? [],
    cidrs: spec.cidrs ?? [],
    hostKeys: spec.hostKeys ?? [],
    credentials: spec.credentials ?? [],
    users: spec.users ?? [],
  }));
}

interface RawMachineObject {
  readonly metadata?: {
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** Every machine has a PeerAuthentication of ours, the first of its objects to come. */
export async function listMachines({ custom }: KubernetesClient): Promise<readonly KnownMachine[]> {
  const answer = (await custom.listCustomObjectForAllNamespaces({
    group: 'security.istio.io',
    version: 'v1',
    resourcePlural: 'peerauthentications',
    labelSelector: `${managedByLabel}=${manager},${machineLabel}`,
  })) as { readonly items?: readonly RawMachineObject[] };
  return (answer.items ?? []).map(({ metadata = {} }) => {
    const hostKey = metadata.annotations?.[hostKeyAnnotation];
    const hostPlace = metadata.annotations?.[hostPlaceAnnotation];
    return {
      namespace: metadata.namespace ?? '',
      name: metadata.labels?.[machineLabel] ?? '',
      ...(hostKey === undefined ? {} : { hostKey }),
      ...(hostPlace === undefined ? {} : { hostPlace }),
    };
  });
}
