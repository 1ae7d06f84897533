/** The product's worker for the lab, a process of its own so that its processor time is told apart. Arguments: address, file of the login key. */
import { readFileSync } from 'node:fs';

import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

import { createActivities } from '../../activities/index.ts';
import { heartbeatInterceptor } from '../../worker/heartbeat.ts';
import { HOSTS_QUEUE, QUEUE } from '../../worker/worker.ts';
import { bundled } from '../../worker/workflow-bundle.ts';
import { labPorts, namespace } from './ports.ts';

const [address = '', keyFile = ''] = process.argv.slice(2);
const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });
const connection = await NativeConnection.connect({ address });
const common = {
  connection,
  namespace,
  activities: createActivities(labPorts(readFileSync(keyFile, 'utf8'))),
  interceptors: { activity: [heartbeatInterceptor] },
};
const workflowsPath = new URL('workflow.ts', import.meta.url).pathname;
const workers = await Promise.all([
  Worker.create({
    ...common,
    taskQueue: QUEUE,
    workflowBundle: await bundleWorkflowCode({ ...bundled, workflowsPath, logger }),
  }),
  Worker.create({ ...common, taskQueue: HOSTS_QUEUE, maxConcurrentActivityTaskExecutions: 50 }),
]);
process.stdout.write('polls\n');
await Promise.all(workers.map((worker) => worker.run()));
