/** The product's worker for the lab, a process of its own so that its processor time is told apart. Arguments: address, file of the login key. */
import { readFileSync } from 'node:fs';

import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';

import { createActivities } from '../../activities/index.ts';
import { createWorker } from '../../worker/worker.ts';
import { bundleOf } from '../../worker/workflow-bundle.ts';
import { labPorts, namespace } from './ports.ts';

const [address = '', keyFile = ''] = process.argv.slice(2);
Runtime.install({ logger: new DefaultLogger('ERROR') });
const connection = await NativeConnection.connect({ address });
const settings = {
  temporal: { connection: { address }, namespace },
  hostConcurrency: 50,
  cachedWorkflows: 2_000,
};
const activities = createActivities(labPorts(readFileSync(keyFile, 'utf8')));
const workflows = await bundleOf(new URL('workflow.ts', import.meta.url).pathname);
const worker = await createWorker(connection, settings, activities, workflows);
process.stdout.write('polls\n');
await worker.run();
