/** Builds the API over a Temporal connection; it listens nowhere yet. */
import { readFileSync } from 'node:fs';

import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type { FastifyServerOptions } from 'fastify';

import { answerProblems } from './answer-problems.ts';
import { serveOpenApi } from './openapi.ts';
import { refuseForeignPages } from './refuse-foreign-pages.ts';
import { healthRoutes } from './routes/health.ts';
import { machineRoutes } from './routes/machines.ts';
import { operationRoutes } from './routes/operations.ts';
import type { Temporal } from './temporal.ts';

interface AppParts {
  readonly temporal: Temporal;
  /** fastify's own: a pino configuration, or false for silence. Requests are logged by method and path, never by body. */
  readonly logger: NonNullable<FastifyServerOptions['logger']>;
}

/** The largest valid request, with 8 KiB of known_hosts lines and every label a Kubernetes object may carry, stays below. */
const BODY_LIMIT_BYTES = 256 * 1024;

export async function buildApp({ temporal, logger }: AppParts) {
  const app = Fastify({ logger, bodyLimit: BODY_LIMIT_BYTES, requestTimeout: 30_000, forceCloseConnections: 'idle' })
    .withTypeProvider<TypeBoxTypeProvider>()
    // The default compiler coerces types in bodies and drops unknown fields; this one refuses both.
    .setValidatorCompiler(TypeBoxValidatorCompiler);
  // A form of another site can send text without asking first; JSON it cannot.
  app.removeContentTypeParser('text/plain');
  app.addHook('onRequest', refuseForeignPages);
  answerProblems(app);
  await serveOpenApi(app, packageVersion());
  await app.register(healthRoutes, { temporal });
  await app.register(machineRoutes, { temporal });
  await app.register(operationRoutes, { temporal });
  return app;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
