/** Activities grouped by what may take how long; every call carries a summary that the Temporal UI shows. */
import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type { ActivityOptions } from '@temporalio/workflow';

import type { Activities } from '../activities/index.ts';
import type { MigrationWaits, Waits } from './messages.ts';

/** Defaults of {@link Waits}. */
export const defaultWaits: Required<Waits> = {
  readableMs: 30_000,
  changeMs: 600_000,
  readyMs: 120_000,
  connectedMs: 120_000,
  registeredMs: 60_000,
  healthyMs: 180_000,
  notGivenOutMs: 60_000,
  undoMs: 900_000,
  deadManSeconds: 120,
  tokenLifetimeSeconds: 3_600,
};

/** Defaults of {@link MigrationWaits}. */
export const migrationWaits: Required<MigrationWaits> = {
  readableMs: 30_000,
  changeMs: 600_000,
  routedMs: 120_000,
  podsGoneMs: 300_000,
  smokeMs: 60_000,
  countMs: 60_000,
  silentMs: 60_000,
  leaveMs: 3_600_000,
  undoMs: 900_000,
};

const HOSTS_QUEUE = 'meshlift-hosts';

/** Retries come at an even pace: the wait is the schedule-to-close timeout, not the number of attempts. */
const evenly: ActivityOptions = { retry: { initialInterval: '1s', backoffCoefficient: 1 } };
/** The worker heartbeats every activity each second, so a dead worker is noticed within this. */
const heartbeatTimeout = '5s';

/** Reads of a machine: an answer takes seconds; an unreachable one is given up on after `totalMs`. */
export function readHost(summary: string, totalMs: number) {
  return proxyActivities<Activities>({
    ...evenly,
    summary,
    taskQueue: HOSTS_QUEUE,
    scheduleToCloseTimeout: totalMs,
    startToCloseTimeout: Math.min(totalMs, 60_000),
    heartbeatTimeout,
  });
}

/** Changes of a machine: five minutes for one try (a package over a slow line), and a cancelled one is waited for. */
export function changeHost(summary: string, totalMs: number) {
  return proxyActivities<Activities>({
    ...evenly,
    summary,
    taskQueue: HOSTS_QUEUE,
    scheduleToCloseTimeout: totalMs,
    startToCloseTimeout: Math.min(totalMs, 300_000),
    heartbeatTimeout,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
}

/** Reads of the cluster, and waits on its evidence: each look takes seconds and is repeated until `totalMs`. */
export function readCluster(summary: string, totalMs: number) {
  return proxyActivities<Activities>({
    ...evenly,
    summary,
    scheduleToCloseTimeout: totalMs,
    startToCloseTimeout: Math.min(totalMs, 30_000),
    heartbeatTimeout,
  });
}

export type ClusterActivities = ReturnType<typeof readCluster>;

/** One look at the cluster, however it ends: whoever asked for it asks again. */
export function lookOnce(summary: string, totalMs: number) {
  return proxyActivities<Activities>({
    retry: { maximumAttempts: 1 },
    summary,
    startToCloseTimeout: totalMs,
    heartbeatTimeout,
  });
}

/** Watches something of the cluster for some hours; a cut one is begun anew by whoever asked. */
export function followCluster(summary: string) {
  return proxyActivities<Activities>({ ...evenly, summary, startToCloseTimeout: '7h', heartbeatTimeout });
}

/** Changes of cluster objects: one minute for one try, and a cancelled one is waited for. */
export function changeCluster(summary: string, totalMs: number) {
  return proxyActivities<Activities>({
    ...evenly,
    summary,
    scheduleToCloseTimeout: totalMs,
    startToCloseTimeout: Math.min(totalMs, 60_000),
    heartbeatTimeout,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
}
