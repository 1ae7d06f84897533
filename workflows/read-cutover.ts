/** Reads what a migration starts from, and judges it. Writes nothing. */
import { isCancellation, TemporalFailure } from '@temporalio/workflow';

import type { CutoverFacts } from '../activities/ports/cutover-port.ts';
import type { Condition } from '../api/schemas/common.ts';
import type { Machine } from '../api/schemas/machine.ts';
import type { CreateMigration } from '../api/schemas/migration.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import { explainFailure } from './explain-failure.ts';
import type { MigrationWaits } from './messages.ts';
import { now } from './operation.ts';
import {
  cutoverConditions,
  type CutoverInput,
  type MachineCallers,
  smokePathOf,
  unreadable,
} from './plan/cutover-checks.ts';
import { targetOf } from './plan/cutover-steps.ts';
import { callersBeside } from './plan/exposure.ts';
import { askedQueries, faultOf, queriesOf } from './plan/metric-queries.ts';
import { appliedManifests, deploymentOf } from './plan/migration-target.ts';
import type { FactFailure } from './plan/plan-input.ts';
import { replicasOf } from './plan/target-checks.ts';

const PREVIEW_WINDOW_SECONDS = 60;
const CALLERS_WITHIN_MS = 10_000;

export interface ReadCutover {
  readonly conditions: Condition[];
  /** Absent where the facts do not let one be made. */
  readonly plan?: CutoverPlan;
  /** Where there is a plan. */
  readonly facts?: CutoverFacts;
}

/** Who called each machine past the mesh. One that does not answer keeps nothing waiting. */
async function readCallers(machines: readonly Machine[], readableMs: number): Promise<readonly MachineCallers[]> {
  const { proxies } = await readCluster('See who is in the mesh', readableMs).readNeighbours();
  return await Promise.all(
    machines.map(async ({ namespace, name, host }) => {
      try {
        const asked = readHost(`See who calls ${name}`, Math.min(readableMs, CALLERS_WITHIN_MS));
        const facts = await asked.inspectMachine({ namespace, name, host, paths: [], probes: { callers: true } });
        return { machine: name, from: callersBeside(facts, { proxies }) };
      } catch (error) {
        if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
        return { machine: name };
      }
    }),
  );
}

/** Why Prometheus does not take a query of the analysis; that it has no sample before pods serve is no reason. */
async function refusedQuery(request: CreateMigration, readableMs: number): Promise<FactFailure | undefined> {
  // A faulty one is told by itself.
  if (queriesOf(request).length === 0 || queriesOf(request).some((query) => faultOf(query) !== undefined))
    return undefined;
  const queries = askedQueries(request, PREVIEW_WINDOW_SECONDS);
  try {
    await readCluster('Ask Prometheus the queries of the analysis', readableMs).queryMetrics({ queries });
    return undefined;
  } catch (error) {
    return asFinding(error);
  }
}

function asFinding(error: unknown): FactFailure {
  if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
  return explainFailure(error);
}

export async function readCutover(
  request: CreateMigration,
  { readableMs }: Pick<Required<MigrationWaits>, 'readableMs'>,
): Promise<ReadCutover> {
  const { namespace, workloadGroup, service, name: migration } = request;
  const manifests = appliedManifests(request);
  const gatewayRoutes = (request.ownGatewayRoutes ?? []).map((route) => ({
    ...route,
    namespace: route.namespace ?? namespace,
  }));
  const read = async (): Promise<CutoverInput & { readonly machines: readonly Machine[] }> => {
    const cluster = readCluster(`Read what migration ${namespace}/${migration} starts from`, readableMs);
    const deployment = deploymentOf(request.target);
    const query = {
      ...{ namespace, workloadGroup, service, deployment, migration, gatewayRoutes },
      ...('manifests' in request.target ? { manifests } : {}),
      ...(request.guard === 'selector' ? { bySelector: true } : {}),
    };
    const [facts, machines] = await Promise.all([
      cluster.readCutoverFacts(query),
      cluster.readGroupMachines({ namespace, workloadGroup }),
    ]);
    const [callers, queryFailure] = await Promise.all([
      readCallers(machines, readableMs),
      refusedQuery(request, readableMs),
    ]);
    return { request, facts, machines, callers, ...(queryFailure === undefined ? {} : { queryFailure }) };
  };
  const input = await read().catch(asFinding);
  if ('type' in input) return { conditions: [unreadable(request, input, now())] };
  const { facts, machines } = input;
  const conditions = cutoverConditions(input, now());
  const target = targetOf(input);
  if (target === undefined || facts.deployment === undefined) return { conditions };
  return {
    conditions,
    facts,
    plan: {
      request,
      target,
      manifests,
      machines,
      replicas: replicasOf(input),
      // Where a run before has left its routes, its pods are left as well: they are not the state to go back to.
      isLeftBehind: facts.objects.length > 0,
      replicasBefore: facts.objects.length > 0 ? 0 : facts.deployment.replicas,
      smokePath: request.smoke?.path ?? smokePathOf(facts.group),
      ...(facts.rootNamespace === undefined ? {} : { rootNamespace: facts.rootNamespace }),
    },
  };
}
