/** Who has to be connected to istiod, and where routes send traffic: read from the Kubernetes API. */
import type { V1Pod } from '@kubernetes/client-node';

import type { ExpectedProxy, Routes } from '../ports/mesh-port.ts';
import { machinesSubset, migrationLabel } from '../render/cutover-routes.ts';
import { machineLabel } from '../render/names.ts';
import { asClusterFailure, found, type KubernetesClient } from './kubernetes-client.ts';
import { registeredGroupAnnotation } from './workload-entries.ts';

const group = 'networking.istio.io';
const version = 'v1';
/** Sidecars and gateways alike, native sidecars too. */
const proxyContainer = 'istio-proxy';

interface List<T> {
  readonly items?: readonly T[];
}
interface RawEntry {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly address?: string };
}

export async function listExpectedProxies(client: KubernetesClient): Promise<readonly ExpectedProxy[]> {
  return await asClusterFailure('List of the proxies of the mesh', async () => {
    const [pods, entries] = await Promise.all([
      client.core.listPodForAllNamespaces({ fieldSelector: 'status.phase=Running' }),
      client.custom.listClusterCustomObject({ group, version, plural: 'workloadentries' }) as Promise<List<RawEntry>>,
    ]);
    return [
      ...pods.items.filter(runsProxy).map(({ metadata, status }) => ({
        proxy: `${metadata?.name ?? ''}.${metadata?.namespace ?? ''}`,
        addresses: status?.podIP === undefined ? [] : [status.podIP],
      })),
      ...(entries.items ?? []).filter(isRegistered).map(({ metadata, spec }) => ({
        proxy: `${metadata?.labels?.[machineLabel] ?? metadata?.name ?? ''}.${metadata?.namespace ?? ''}`,
        addresses: spec?.address === undefined ? [] : [spec.address],
      })),
    ];
  });
}

/** A pod that ends is on its way out: it counts for as long as it is connected, and no longer. */
function runsProxy({ metadata, status }: V1Pod): boolean {
  const containers = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
  return (
    metadata?.deletionTimestamp === undefined &&
    containers.some(({ name, state }) => name === proxyContainer && state?.running !== undefined)
  );
}

const isRegistered = ({ metadata }: RawEntry): boolean =>
  metadata?.annotations?.[registeredGroupAnnotation] !== undefined;

interface RawRoute {
  readonly route?: readonly {
    readonly destination?: { readonly host?: string; readonly subset?: string };
    readonly weight?: number;
  }[];
}
interface RawVirtualService {
  readonly spec?: {
    readonly http?: readonly RawRoute[];
    readonly tcp?: readonly RawRoute[];
    readonly tls?: readonly RawRoute[];
  };
}
interface RawDestinationRule {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly host?: string;
    readonly subsets?: readonly { readonly name?: string; readonly labels?: Readonly<Record<string, string>> }[];
  };
}

export async function readRoutes(client: KubernetesClient, namespace: string): Promise<Routes> {
  const list = async <T>(plural: string): Promise<readonly T[]> => {
    const call = client.custom.listNamespacedCustomObject({ group, version, namespace, plural });
    return ((await found(call)) as List<T> | undefined)?.items ?? [];
  };
  return await asClusterFailure(`Routes of namespace ${namespace}`, async () => {
    const [services, rules] = await Promise.all([
      list<RawVirtualService>('virtualservices'),
      list<RawDestinationRule>('destinationrules'),
    ]);
    const qualified = (host: string): string => (host.includes('.') ? host : `${host}.${namespace}.svc.cluster.local`);
    return {
      destinations: services
        .flatMap(({ spec }) => [...(spec?.http ?? []), ...(spec?.tcp ?? []), ...(spec?.tls ?? [])])
        .flatMap(({ route = [] }) =>
          route.map(({ destination, weight }) => ({
            host: qualified(destination?.host ?? ''),
            ...(destination?.subset === undefined ? {} : { subset: destination.subset }),
            // A single destination takes everything, whatever its weight says.
            weight: route.length === 1 ? 100 : (weight ?? 0),
          })),
        ),
      subsets: rules.flatMap(({ metadata, spec }) =>
        (spec?.subsets ?? []).map(({ name = '', labels = {} }) => ({
          host: qualified(spec?.host ?? ''),
          name,
          labels,
          ...(name === machinesSubset && metadata?.labels?.[migrationLabel] !== undefined ? { isKept: true } : {}),
        })),
      ),
    };
  });
}
