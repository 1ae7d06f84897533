/** Builds the worker: one for workflows and cluster activities, one for hosts with its own cap, in one process. */
import { Worker } from '@temporalio/worker';
import type { NativeConnection } from '@temporalio/worker';

import type { Activities } from '../activities/index.ts';
import type { WorkerConfig } from './config.ts';
import { heartbeatInterceptor } from './heartbeat.ts';

export const QUEUE = 'meshlift';
export const HOSTS_QUEUE = 'meshlift-hosts';

/** Activities that run when a stop is asked for get this long to end; after that they are repeated elsewhere. */
const shutdownGraceTime = '20s';

export interface MeshliftWorker {
  /** Runs until `shutdown` is called and everything has drained. */
  run(): Promise<void>;
  shutdown(): void;
}

/**
 * The activities may be any that fit: tests replace one of them to fail it. `workflows` is the script of those that it runs, for which
 * see `workflowBundle`.
 */
export async function createWorker(
  connection: NativeConnection,
  {
    temporal,
    hostConcurrency,
    cachedWorkflows,
  }: Pick<WorkerConfig, 'temporal' | 'hostConcurrency' | 'cachedWorkflows'>,
  activities: Activities,
  workflows: { readonly code: string },
): Promise<MeshliftWorker> {
  const common = {
    connection,
    namespace: temporal.namespace,
    activities,
    shutdownGraceTime,
    // Heartbeats are passed on as they come, not held back to a share of the time-out.
    maxHeartbeatThrottleInterval: '1s',
    interceptors: { activity: [heartbeatInterceptor] },
  };
  const workers = await Promise.all([
    Worker.create({
      ...common,
      taskQueue: QUEUE,
      workflowBundle: workflows,
      maxCachedWorkflows: cachedWorkflows,
      // Tasks of a worker that died go to the others after this.
      stickyQueueScheduleToStartTimeout: '2s',
      maxConcurrentActivityTaskExecutions: 50,
    }),
    Worker.create({ ...common, taskQueue: HOSTS_QUEUE, maxConcurrentActivityTaskExecutions: hostConcurrency }),
  ]);
  const shutdown = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  return {
    shutdown,
    async run() {
      // One that fails stops the other, which drains before the caller closes their connection.
      const ended = await Promise.allSettled(workers.map((worker) => worker.run().finally(shutdown)));
      const failed = ended.find((end) => end.status === 'rejected');
      if (failed) throw failed.reason;
    },
  };
}
