/** Builds the API over a Temporal connection; it listens nowhere yet. */
import { readFileSync } from 'node:fs';

import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type { FastifyServerOptions } from 'fastify';

import type { AccessPort } from '../activities/ports/access-port.ts';
import { answerProblems, answerUnread } from './answer-problems.ts';
import { authorise } from './authorise.ts';
import type { ApiConfig } from './config.ts';
import { endConnections } from './end-connections.ts';
import { limitRate } from './limit-rate.ts';
import { serveOpenApi } from './openapi.ts';
import { refuseForeignPages } from './refuse-foreign-pages.ts';
import { healthRoutes } from './routes/health.ts';
import { machineRoutes } from './routes/machines.ts';
import { machineVerbRoutes } from './routes/machine-verbs.ts';
import { migrationRoutes } from './routes/migrations.ts';
import { operationControlRoutes } from './routes/operation-controls.ts';
import { operationEventRoutes } from './routes/operation-events.ts';
import { operationRoutes } from './routes/operations.ts';
import type { Temporal } from './temporal.ts';
import { compileValidator } from './validator.ts';

interface AppParts {
  readonly temporal: Temporal;
  /** Says who may do what; `off`: everybody who reaches the port may do everything. */
  readonly access: AccessPort | 'off';
  readonly config: Pick<ApiConfig, 'listen' | 'tls' | 'limits'>;
  /** fastify's own: a pino configuration, or false for silence. Requests are logged by method and path, never by body. */
  readonly logger: NonNullable<FastifyServerOptions['logger']>;
}

/** The largest valid request, with 8 KiB of known_hosts lines and every label a Kubernetes object may carry, stays below. */
const BODY_LIMIT_BYTES = 256 * 1024;

export async function buildApp({ temporal, access, config, logger }: AppParts) {
  const { listen, tls, limits } = config;
  const app = Fastify({
    logger,
    https: tls ?? null,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: 30_000,
    // Schemas say how long a part of a path may be; ids of operations are longer than fastify's 100.
    routerOptions: { maxParamLength: 16 * 1024 },
    clientErrorHandler: answerUnread,
    forceCloseConnections: 'idle',
  })
    .withTypeProvider<TypeBoxTypeProvider>()
    // The default compiler coerces types in bodies and drops unknown fields; this one refuses both.
    .setValidatorCompiler(compileValidator);
  // A form of another site can send text without asking first; JSON it cannot.
  app.removeContentTypeParser('text/plain');
  app.addHook('onRequest', refuseForeignPages(listen.isLoopback));
  app.server.maxConnections = limits.connections;
  endConnections(app);
  answerProblems(app);
  await serveOpenApi(app, packageVersion());
  await app.register(healthRoutes, { temporal });
  await app.register(async (v1) => {
    authorise(v1, { access: access === 'off' ? undefined : access, temporal });
    await limitRate(v1, limits.requestsPerMinute);
    await v1.register(machineRoutes, { temporal });
    await v1.register(machineVerbRoutes, { temporal });
    await v1.register(migrationRoutes, { temporal });
    await v1.register(operationRoutes, { temporal });
    await v1.register(operationControlRoutes, { temporal });
    await v1.register(operationEventRoutes, { temporal });
  });
  return app;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
