/** The process `meshlift api`: reads its configuration, listens, and stops in order. */
import { buildApp } from './app.ts';
import { readApiConfig } from './config.ts';
import { connectTemporal } from './temporal.ts';

/** Runs until SIGTERM or SIGINT. Stops listening first, answers what it has accepted, then leaves Temporal. */
export async function runApi(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const config = readApiConfig(environment);
  const temporal = connectTemporal(config.temporal);
  const app = await buildApp({ temporal, logger: { level: 'info' } });
  try {
    const url = await app.listen(config.listen);
    const { connection, namespace } = config.temporal;
    app.log.info(
      { url, docs: `${url}/docs`, temporal: connection.address ?? 'localhost:7233', namespace, auth: 'off' },
      'meshlift api listens',
    );
    const signal = await stopSignal();
    app.log.info({ signal }, 'meshlift api stops');
  } finally {
    await app.close();
    await temporal.close();
  }
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}
