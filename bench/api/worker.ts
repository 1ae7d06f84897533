/**
 * One process for both sides: the product's worker, whose activities refuse at once, since it is the API that is measured, and a
 * worker of the bare workflows. Arguments: Temporal's address and namespace, a folder for the product's workflow bundle.
 */
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';

import { failure } from '../../activities/failures.ts';
import { createActivities, type Ports } from '../../activities/index.ts';
import { createWorker } from '../../worker/worker.ts';
import { workflowBundle } from '../../worker/workflow-bundle.ts';
import { bareQueue } from './bare.ts';

const [address = '', namespace = '', workflowCache = ''] = process.argv.slice(2);
const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });
const connection = await NativeConnection.connect({ address });

const refuse = () => Promise.reject(failure('HostNotAllowed', 'Nothing is touched while the API is measured'));
const refusing = new Proxy({}, { get: () => refuse });
const ports = {
  cluster: refusing,
  cutover: refusing,
  host: refusing,
  mesh: refusing,
  metrics: refusing,
  packages: refusing,
} as unknown as Ports;
const settings = {
  temporal: { connection: { address }, namespace },
  hostConcurrency: 50,
  cachedWorkflows: 2_000,
};
const workflows = await workflowBundle(workflowCache);
const product = await createWorker(connection, settings, createActivities(ports), workflows);
const workflowsPath = new URL('workflow.ts', import.meta.url).pathname;
const bare = await Worker.create({
  connection,
  namespace,
  taskQueue: bareQueue,
  workflowBundle: await bundleWorkflowCode({ workflowsPath, logger }),
  maxCachedWorkflows: 2_000,
});
process.stdout.write('polls\n');
await Promise.all([product.run(), bare.run()]);
