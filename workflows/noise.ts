/** Whether machines are silent: what has to be so before the first of them leaves. */
import { ActivityFailure, isCancellation, sleep } from '@temporalio/workflow';

import { readCluster, readHost } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import { explainFailure } from './explain-failure.ts';
import type { Judging } from './judging.ts';
import type { LeadingRoutes } from './leading-routes.ts';
import type { MigrationWaits } from './messages.ts';
import { countsBetween } from './plan/cutover-analysis.ts';
import { durationMs } from './plan/durations.ts';

/** What was heard of the machines for as long as was asked, or stands in the way of their leaving; undefined: nothing. */
export async function noiseWithin(
  asked: string,
  plan: CutoverPlan,
  waits: Required<MigrationWaits>,
  judging: Judging,
  routes: LeadingRoutes,
): Promise<string | undefined> {
  const before = await judging.countMachines();
  await routes.whileFollowed(() => sleep(durationMs(asked), { summary: 'Silence' }));
  if (routes.isRoutedBeside()) {
    await routes.whileFollowed(() => routes.untilAlone());
    return 'others routed the Service meanwhile';
  }
  const { requests } = countsBetween(before, await judging.countMachines());
  if (requests > 0) return `${requests} requests reached machines within ${asked}`;
  return await told(async () => {
    const who = await joined(plan, waits);
    if (who === undefined) await called(plan, waits);
    return who;
  });
}

/** A machine that is no part of the run would serve beside the pods as soon as the routes are gone. */
async function joined(
  { request, machines }: CutoverPlan,
  waits: Required<MigrationWaits>,
): Promise<string | undefined> {
  const { namespace, workloadGroup } = request;
  const group = readCluster(`See who belongs to ${workloadGroup}`, waits.silentMs);
  const others = (await group.readGroupMachines({ namespace, workloadGroup }))
    .map(({ name }) => name)
    .filter((name) => !machines.some((machine) => machine.name === name));
  if (others.length === 0) return undefined;
  return `${others.join(', ')} joined WorkloadGroup ${namespace}/${workloadGroup} during the run and would serve beside the pods: offboard it, or POST .../rollback`;
}

async function called({ request, machines }: CutoverPlan, waits: Required<MigrationWaits>): Promise<void> {
  const { service } = request;
  for (const { namespace, name, host } of machines) {
    const machine = readHost(`See that nobody calls ${name}`, waits.silentMs);
    await machine.verifySilent({ namespace, name, host, service });
  }
}

/** Who calls is told by a failure, and so is who cannot say. */
async function told(look: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
    return explainFailure(error).message;
  }
}
