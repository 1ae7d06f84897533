/** What a migration reads of a Service, its machines and its pods, through the Kubernetes API. */
import {
  type ConfigurationOptions,
  type KubeConfig,
  Observable,
  PatchStrategy,
  V1ScaleSpec,
} from '@kubernetes/client-node';

import { failure } from '../failures.ts';
import type { KubernetesObject, ObjectRef } from '../ports/cluster-port.ts';
import type {
  CutoverFacts,
  CutoverPort,
  CutoverQuery,
  EntriesQuery,
  FoundEntry,
  FoundPod,
  FoundRoute,
  GatewayRoute,
  HandOver,
  OwnedObject,
  PodsQuery,
  RouteDestination,
  Selection,
} from '../ports/cutover-port.ts';
import { destinationsOf, httpOf, migrationLabel, pushAnnotation, routesName } from '../render/cutover-routes.ts';
import { managedByLabel, manager } from '../render/names.ts';
import { isBoundToMesh, isForByWildcard, leadsMesh, namesService } from '../render/route-hosts.ts';
import { disown, lastEditorOf, type ManagedFields } from './field-managers.ts';
import { gitOpsOf } from './gitops-marks.ts';
import { IstiodDebug } from './istiod-debug.ts';
import { asClusterFailure, found, kubernetesClient, type KubernetesClient } from './kubernetes-client.ts';
import { type FactsSource, readRootNamespace } from './kubernetes-facts.ts';
import { type DeploymentLike, handOver, makeManifest, tryOut, unmakeManifest } from './kubernetes-manifests.ts';
import { readNodes } from './kubernetes-nodes.ts';
import { readSidePolicies } from './kubernetes-policies.ts';
import { serviceFacts } from './kubernetes-services.ts';
import { restoreSelector, selectEndpoints } from './kubernetes-selector.ts';
import { deploymentOf, podOf } from './kubernetes-workloads.ts';
import { quotaRoom } from './pod-resources.ts';
import { listEntries, type RawEntry } from './workload-entries.ts';

const networking = 'networking.istio.io/v1';
/** Where Envoy serves its metrics to scrapers; never captured. */
const metricsPort = 15090;
/** All that a proxy counts can be megabytes. Envoy's filter is a regular expression of what it names its counters. */
const ofInboundRequests: ConfigurationOptions = {
  middleware: [
    {
      pre: (request) => {
        request.setQueryParam('filter', '(istio_request|cluster.inbound)');
        return new Observable(Promise.resolve(request));
      },
      post: (response) => new Observable(Promise.resolve(response)),
    },
  ],
  middlewareMergeStrategy: 'append',
};

interface RawObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    name: string;
    namespace: string;
    resourceVersion?: string;
    managedFields?: ManagedFields<Date>[];
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  readonly spec?: object;
}

interface RawRoute {
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly ManagedFields[];
  };
  readonly spec?: unknown;
}

export class KubernetesCutover implements CutoverPort {
  readonly #client: KubernetesClient;
  readonly #source: FactsSource;

  constructor(kubeConfig: KubeConfig, { istioNamespace }: { readonly istioNamespace: string }) {
    this.#client = kubernetesClient(kubeConfig);
    this.#source = { client: this.#client, debug: new IstiodDebug(kubeConfig, istioNamespace), istioNamespace };
  }

  async readFacts(query: CutoverQuery): Promise<CutoverFacts> {
    const { namespace, deployment, workloadGroup } = query;
    return await asClusterFailure(`Facts for migration ${namespace}/${query.migration}`, async () => {
      const [services, foundDeployment, group, entries, routes, quotas, rootNamespace] = await Promise.all([
        this.#client.core.listNamespacedService({ namespace }),
        query.manifests === undefined
          ? found(this.#client.apps.readNamespacedDeployment({ namespace, name: deployment }))
          : undefined,
        this.#read('WorkloadGroup', namespace, workloadGroup),
        listEntries(this.#client, namespace, workloadGroup),
        this.#routesOf(namespace, query.service),
        this.#client.core.listNamespacedResourceQuota({ namespace }),
        readRootNamespace(this.#source, namespace),
      ]);
      const { service, otherServices, own, sides } = serviceFacts(services.items, query);
      const [objects, policies, tried, sideServices] = await Promise.all([
        this.#ownObjects(query),
        readSidePolicies(this.#client, namespace, rootNamespace),
        Promise.all((query.manifests ?? []).map((manifest) => tryOut(this.#client, manifest))),
        Promise.all(sides.map((side) => tryOut(this.#client, side))),
      ]);
      const target = foundDeployment ?? tried.find(({ deployment: one }) => one !== undefined)?.deployment;
      const template = target?.spec?.template.spec;
      return {
        host: `${query.service}.${namespace}.svc.cluster.local`,
        ...(service === undefined ? {} : { service }),
        otherServices,
        ...(group === undefined
          ? {}
          : {
              group: {
                isOurs: group.metadata.labels?.[managedByLabel] === manager,
                annotations: group.metadata.annotations ?? {},
                spec: group.spec ?? {},
              },
            }),
        entries: entries.map(entryOf),
        ...(target === undefined
          ? {}
          : { deployment: deploymentOf(target, await this.#isInjected(namespace, target)) }),
        ...(query.manifests === undefined ? {} : { manifests: tried.map(({ found }) => found) }),
        routes,
        gatewayRoutes: await this.#gatewayRoutes(query),
        ...policies,
        rootNamespace,
        objects: [...objects, ...own],
        sideServices: sideServices.map(({ found }) => found),
        quotas: quotas.items.flatMap(quotaRoom),
        ...(template === undefined ? {} : await readNodes(this.#client, template)),
      };
    });
  }

  async listRoutes(host: string): Promise<readonly FoundRoute[]> {
    const [service = '', namespace = ''] = host.split('.');
    return await asClusterFailure(`Routes of ${host}`, () => this.#routesOf(namespace, service));
  }

  async make(manifest: KubernetesObject): Promise<void> {
    await makeManifest(this.#client, manifest);
  }

  async unmake(ref: ObjectRef, migration: string): Promise<void> {
    await unmakeManifest(this.#client, ref, migration);
  }

  async handOver(input: HandOver): Promise<void> {
    await handOver(this.#client, input);
  }

  async selectEndpoints(selection: Selection): Promise<boolean> {
    return await selectEndpoints(this.#client, selection);
  }

  async restoreSelector(selection: Pick<Selection, 'namespace' | 'service' | 'migration'>): Promise<void> {
    await restoreSelector(this.#client, selection);
  }

  async scale(namespace: string, name: string, replicas: number): Promise<number> {
    return await asClusterFailure(`Scale of Deployment ${namespace}/${name}`, async () => {
      const scale = await found(this.#client.apps.readNamespacedDeploymentScale({ namespace, name }));
      if (scale === undefined) {
        // It has no pods.
        if (replicas === 0) return 0;
        throw failure('ObjectRejected', `Deployment ${namespace}/${name} is gone; put it back, or roll back`);
      }
      const before = scale.spec?.replicas ?? 0;
      if (before !== replicas) {
        const body = Object.assign(scale, { spec: Object.assign(scale.spec ?? new V1ScaleSpec(), { replicas }) });
        await this.#client.apps.replaceNamespacedDeploymentScale({ namespace, name, body });
      }
      return before;
    });
  }

  async readOwned({ apiVersion, kind, namespace, name }: ObjectRef): Promise<OwnedObject | undefined> {
    return await asClusterFailure(`${kind} ${namespace}/${name}`, async () => {
      const object = await this.#read(kind, namespace, name, apiVersion);
      if (object === undefined) return undefined;
      return { ...(object.spec === undefined ? {} : { spec: object.spec }), ...lastEditorOf(object.metadata) };
    });
  }

  async editRoute(
    { namespace, virtualService, route, destinations }: GatewayRoute,
    push: string | null,
  ): Promise<void> {
    const place = `VirtualService ${namespace}/${virtualService}`;
    await asClusterFailure(`Route ${route} of ${place}`, async () => {
      const object = await this.#read('VirtualService', namespace, virtualService);
      const isThere = destinationsOf(object?.spec, route) !== undefined;
      if (object === undefined || (!isThere && push !== null)) {
        throw failure('RouteMissing', `${place} has no route ${route} any more; put it back, or roll back`);
      }
      // With the resourceVersion that was read: a write in between is a conflict, which is tried again.
      const { resourceVersion = '' } = object.metadata;
      const annotations = { [pushAnnotation]: push } as Record<string, string>;
      const change = {
        ...{ apiVersion: networking, kind: 'VirtualService' },
        metadata: { namespace, name: virtualService, resourceVersion, annotations },
        ...(isThere ? { spec: { http: withDestinations(object.spec, route, destinations) } } : {}),
      };
      await this.#client.objects.patch(change, undefined, undefined, manager, undefined, PatchStrategy.MergePatch);
      if (push !== null) return;
      await disown(this.#client, { apiVersion: networking, kind: 'VirtualService', namespace, name: virtualService });
    });
  }

  async listPods({ namespace, labels }: PodsQuery): Promise<readonly FoundPod[]> {
    const labelSelector = Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
    const { items } = await asClusterFailure(`Pods of ${namespace} with ${labelSelector}`, () =>
      this.#client.core.listNamespacedPod({ namespace, labelSelector }),
    );
    return items.filter(({ status }) => !['Succeeded', 'Failed'].includes(status?.phase ?? '')).map(podOf);
  }

  async listEntries({ namespace, workloadGroup }: EntriesQuery): Promise<readonly FoundEntry[]> {
    const place = `WorkloadEntries of WorkloadGroup ${namespace}/${workloadGroup}`;
    const entries = await asClusterFailure(place, () => listEntries(this.#client, namespace, workloadGroup));
    return entries.map(entryOf);
  }

  async readProxyMetrics(namespace: string, pod: string): Promise<string> {
    return await asClusterFailure(`Metrics of the proxy of pod ${namespace}/${pod}`, async () => {
      const text: unknown = await found(
        this.#client.core.connectGetNamespacedPodProxyWithPath(
          { namespace, name: `${pod}:${metricsPort}`, path: 'stats/prometheus' },
          ofInboundRequests,
        ),
      );
      if (typeof text === 'string') return text;
      throw failure('EvidenceUnavailable', `Pod ${namespace}/${pod} is gone, or its proxy tells no metrics`);
    });
  }

  async #read(kind: string, namespace: string, name: string, apiVersion = networking): Promise<RawObject | undefined> {
    return await found(this.#client.objects.read<RawObject>({ apiVersion, kind, metadata: { name, namespace } }));
  }

  async #ownObjects({ namespace, migration }: CutoverQuery): Promise<readonly KubernetesObject[]> {
    const kinds = ['DestinationRule', 'VirtualService'];
    const objects = await Promise.all(kinds.map((kind) => this.#read(kind, namespace, routesName(migration))));
    return objects.flatMap((object) => (object?.metadata.labels?.[migrationLabel] === migration ? [object] : []));
  }

  async #gatewayRoutes({ gatewayRoutes = [] }: CutoverQuery): Promise<readonly GatewayRoute[]> {
    const found = await Promise.all(
      gatewayRoutes.map(async (asked) => {
        const object = await this.#read('VirtualService', asked.namespace, asked.virtualService);
        const destinations = destinationsOf(object?.spec, asked.route);
        const gitOps = object === undefined ? [] : gitOpsOf(object.metadata);
        if (destinations === undefined) return [];
        const isOfMesh = isBoundToMesh(object?.spec);
        return [
          { ...asked, destinations, ...(gitOps.length === 0 ? {} : { gitOps }), ...(isOfMesh ? { isOfMesh } : {}) },
        ];
      }),
    );
    return found.flat();
  }

  /** In every namespace: a client's own rules go before those of the Service. */
  async #routesOf(namespace: string, service: string): Promise<readonly FoundRoute[]> {
    const host = `${service}.${namespace}.svc.cluster.local`;
    const names = [service, `${service}.${namespace}`, `${service}.${namespace}.svc`, host];
    const list = async (
      plural: string,
      kind: string,
      group = 'networking.istio.io',
    ): Promise<readonly FoundRoute[]> => {
      const answer = (await found(this.#client.custom.listClusterCustomObject({ group, version: 'v1', plural }))) as
        { readonly items?: readonly RawRoute[] } | undefined;
      return (answer?.items ?? []).flatMap(({ metadata, spec }) => {
        const route = routeOf(`${group}/v1`, kind, metadata);
        const known = metadata?.namespace === namespace ? names : names.slice(1);
        if (namesService(spec, known))
          return [{ ...route, ...(leadsMesh(kind, spec, known) ? { isOfMesh: true } : {}) }];
        return kind === 'DestinationRule' && isForByWildcard(spec, host)
          ? [{ ...route, isWildcard: true as const }]
          : [];
      });
    };
    const [services, rules, http] = await Promise.all([
      list('virtualservices', 'VirtualService'),
      list('destinationrules', 'DestinationRule'),
      list('httproutes', 'HTTPRoute', 'gateway.networking.k8s.io'),
    ]);
    return [...services, ...rules, ...http];
  }

  async #isInjected(namespace: string, { spec }: DeploymentLike): Promise<boolean> {
    const asked = spec?.template.metadata?.labels?.['sidecar.istio.io/inject'];
    if (asked !== undefined) return asked === 'true';
    const { metadata } = await this.#client.core.readNamespace({ name: namespace });
    return metadata?.labels?.['istio.io/rev'] !== undefined || metadata?.labels?.['istio-injection'] === 'enabled';
  }
}

const withDestinations = (spec: unknown, route: string, destinations: readonly RouteDestination[]) =>
  httpOf(spec).map((one) => (one.name === route ? { ...one, route: destinations } : one));

function routeOf(apiVersion: string, kind: string, metadata: RawRoute['metadata']): FoundRoute {
  const ref: ObjectRef = { apiVersion, kind, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
  const migration = metadata?.labels?.[migrationLabel];
  const gitOps = gitOpsOf(metadata ?? {});
  return {
    ref,
    ...(migration === undefined ? {} : { migration }),
    ...(gitOps.length === 0 ? {} : { gitOps }),
    ...lastEditorOf(metadata ?? {}),
  };
}

function entryOf({ metadata, spec, status }: RawEntry): FoundEntry {
  const health = status?.conditions?.find(({ type }) => type === 'Healthy')?.status;
  return {
    name: metadata?.name ?? '',
    address: spec?.address ?? '',
    labels: { ...spec?.labels, ...metadata?.labels },
    ...(health === undefined ? {} : { isHealthy: health === 'True' }),
  };
}
