/** A worker inside the test's process, in a Temporal namespace of its own: real activities, of which a test may replace one. */
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';

import { type Activities, createActivities } from '../../activities/index.ts';
import { applyHostPolicies } from '../../demo/host-policy.ts';
import type { SandboxEnv } from '../../demo/sandbox-client.ts';
import { readWorkerConfig } from '../../worker/config.ts';
import { createPorts } from '../../worker/ports.ts';
import { setUpTemporal } from '../../worker/temporal-setup.ts';
import { createWorker } from '../../worker/worker.ts';
import { workflowBundle } from '../../worker/workflow-bundle.ts';
import { testPolicies } from './platform.ts';

export interface TestWorker {
  readonly client: Client;
  readonly stop: () => Promise<void>;
}

type Environment = Pick<SandboxEnv, 'kubeconfig' | 'exports'>;
type Change = (activities: Activities) => Activities;

/** Where the tests' HostPolicies are applied. */
export async function startTestWorker(env: Environment, namespace: string, change: Change): Promise<TestWorker> {
  await applyHostPolicies(testPolicies);
  return await startWorker(env, namespace, change);
}

/** Caches no workflow, so that each workflow task replays its whole history. */
export async function startWorker(env: Environment, namespace: string, change: Change): Promise<TestWorker> {
  Object.assign(process.env, { KUBECONFIG: env.kubeconfig });
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  const config = readWorkerConfig({ ...env.exports, TEMPORAL_NAMESPACE: namespace, MESHLIFT_CACHED_WORKFLOWS: '0' });
  const setUp = await Connection.connect(config.temporal.connection);
  await setUpTemporal(setUp, namespace);
  const connection = await NativeConnection.connect(config.temporal.connection);
  const workflows = await workflowBundle(config.workflowCache);
  const worker = await createWorker(connection, config, change(createActivities(createPorts(config))), workflows);
  const running = worker.run();
  return {
    client: new Client({ connection: setUp, namespace }),
    stop: async () => {
      worker.shutdown();
      await running;
      await connection.close();
      await setUp.close();
    },
  };
}
