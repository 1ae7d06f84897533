/** The process `meshlift worker`: reads its configuration, sets Temporal up, works, and stops in order. */
import { Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import type { LogEntry } from '@temporalio/worker';

import { createActivities } from '../activities/index.ts';
import { readWorkerConfig } from './config.ts';
import { createPorts } from './ports.ts';
import { setUpTemporal } from './temporal-setup.ts';
import { createWorker, HOSTS_QUEUE, QUEUE } from './worker.ts';
import { workflowBundle } from './workflow-bundle.ts';

/** Runs until SIGTERM or SIGINT. Takes no new task then, lets running ones end, and leaves Temporal last. */
export async function runWorker(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const config = readWorkerConfig(environment);
  const { connection: settings, namespace } = config.temporal;
  const logger = new DefaultLogger('INFO', writeLine);
  // Signals are handled here, so that the shutdown order is ours.
  Runtime.install({ logger, shutdownSignals: [] });

  const setUp = await Connection.connect(settings);
  const created = await setUpTemporal(setUp, namespace).finally(() => setUp.close());
  const connection = await NativeConnection.connect(settings);
  try {
    const workflows = await workflowBundle(config.workflowCache);
    const worker = await createWorker(connection, config, createActivities(createPorts(config)), workflows);
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        logger.info('meshlift worker stops', { signal });
        worker.shutdown();
      });
    }
    logger.info('meshlift worker polls', {
      temporal: settings.address ?? 'localhost:7233',
      namespace,
      queues: [QUEUE, HOSTS_QUEUE],
      created,
      istioNamespace: config.istioNamespace,
      credentialsNamespace: config.meshliftNamespace,
      packages: config.packages.source,
      hostConcurrency: config.hostConcurrency,
    });
    await worker.run();
  } finally {
    await connection.close();
    await Runtime.instance().shutdown();
  }
}

/** One JSON object a line, on standard error. */
function writeLine({ level, message, timestampNanos, meta }: LogEntry): void {
  const time = new Date(Number(timestampNanos / 1_000_000n)).toISOString();
  const inLine = (_key: string, value: unknown) => (value instanceof Error ? value.message : value);
  process.stderr.write(`${JSON.stringify({ time, level, ...meta, msg: message }, inLine)}\n`);
}
