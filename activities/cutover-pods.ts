/** Activities of a migration around its pods: what makes them, whether they are ready, and what they have served. */
import { Context } from '@temporalio/activity';

import type { Manifest } from '../api/schemas/migration.ts';
import type { Counters } from '../workflows/plan/cutover-analysis.ts';
import type { AskedQuery, MetricValues } from '../workflows/plan/metric-queries.ts';
import { failure } from './failures.ts';
import type { KubernetesObject, ObjectRef } from './ports/cluster-port.ts';
import type { CutoverPort, PodsQuery } from './ports/cutover-port.ts';
import type { MeshPort } from './ports/mesh-port.ts';
import type { MetricsPort } from './ports/metrics-port.ts';
import { unmarked } from './render/manifests.ts';
import { inboundCounters } from './render/proxy-counters.ts';

interface ReadyPods {
  readonly addresses: readonly string[];
}

interface PodActivityPorts {
  readonly cutover: CutoverPort;
  readonly mesh: MeshPort;
  readonly metrics: MetricsPort;
}

export function cutoverPodActivities({ cutover, mesh, metrics }: PodActivityPorts) {
  return {
    /** What a request brings along, marked as the migration's and without a pod. Failure types: those of the CutoverPort. */
    applyManifests: async ({ manifests }: { manifests: readonly KubernetesObject[] }): Promise<void> => {
      for (const manifest of manifests) await cutover.make(manifest);
    },

    /** What of it the migration has made, and nothing else. */
    removeManifests: async (input: { refs: readonly ObjectRef[]; migration: string }): Promise<void> => {
      for (const ref of input.refs) await cutover.unmake(ref, input.migration);
    },

    /** The same without the migration's marks: their owner's alone. */
    handOverManifests: async (input: {
      namespace: string;
      migration: string;
      manifests: readonly Manifest[];
    }): Promise<void> => {
      const { namespace, migration } = input;
      for (const manifest of input.manifests) {
        const { apiVersion, kind, metadata } = manifest;
        const ref = { apiVersion, kind, namespace, name: metadata.name };
        await cutover.handOver({ ref, migration, labels: unmarked(manifest) });
      }
    },

    scaleDeployment: async (input: { namespace: string; deployment: string; replicas: number }): Promise<number> =>
      await cutover.scale(input.namespace, input.deployment, input.replicas),

    /** Throws `PodsNotReady` until so many pods are ready, each with a proxy that has accepted its configuration. */
    async verifyPodsReady(input: PodsQuery & { replicas: number }): Promise<ReadyPods> {
      const pods = (await cutover.listPods(input)).filter(({ isEnding }) => !isEnding);
      const ready = pods.filter(({ isReady }) => isReady);
      const place = `of namespace ${input.namespace}`;
      if (ready.length < input.replicas) {
        const why = [...new Set(pods.flatMap(({ name, waiting }) => waiting.map((one) => `${name}: ${one}`)))];
        throw failure(
          'PodsNotReady',
          `${ready.length} of ${input.replicas} pods ${place} are ready${why.length === 0 ? '' : ` (${why.slice(0, NAMED).join('; ')})`}; see kubectl describe pod`,
        );
      }
      for (const { name } of ready) {
        const [proxy] = await mesh.readProxy({ namespace: input.namespace, name });
        if (proxy === undefined || proxy.unacknowledged.length > 0 || proxy.rejected.length > 0) {
          const why =
            proxy === undefined ? 'is connected to no istiod' : (proxy.rejected[0] ?? 'has not taken everything');
          throw failure('PodsNotReady', `The proxy of pod ${name} ${place} ${why}; see istioctl proxy-status`);
        }
      }
      return { addresses: ready.flatMap(({ address }) => address ?? []) };
    },

    /** Throws `PodsNotGone` while pods of the target run. */
    async verifyPodsGone(input: PodsQuery): Promise<void> {
      const pods = await cutover.listPods(input);
      if (pods.length === 0) return;
      throw failure(
        'PodsNotGone',
        `${pods.length} pods of namespace ${input.namespace} still end: ${pods.map(({ name }) => name).join(', ')}`,
      );
    },

    /** What the proxies of the pods that are there now have counted of requests to them. */
    async readPodCounters(query: PodsQuery): Promise<Counters> {
      const pods = (await cutover.listPods(query)).filter(({ isReady }) => isReady);
      const read = pods.map(
        async ({ name }) => [name, inboundCounters(await cutover.readProxyMetrics(query.namespace, name))] as const,
      );
      return Object.fromEntries(await Promise.all(read));
    },

    /** The number that each query answers with; null where it has no sample. Failure types: those of the MetricsPort. */
    async queryMetrics({ queries }: { queries: readonly AskedQuery[] }): Promise<readonly MetricValues[]> {
      const { cancellationSignal } = Context.current();
      const ask = async (promql: string | undefined): Promise<number | null> =>
        promql === undefined ? null : ((await metrics.query(promql, cancellationSignal)) ?? null);
      return await Promise.all(
        queries.map(async ({ pods, machines }) => ({ pods: await ask(pods), machines: await ask(machines) })),
      );
    },
  };
}

/** So many are named in a message. */
const NAMED = 10;
