/** `/v1/migrations`: plan, start, list, read. What a person says to one that runs is in `operation-controls.ts`. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { migrationId, planMigration, startMigration } from '../migration-calls.ts';
import { readOperation } from '../operation-calls.ts';
import { operationRow } from '../rows.ts';
import { CreateMigration, MigrationList, MigrationPlan } from '../schemas/migration.ts';
import { Operation } from '../schemas/operation.ts';
import { IdempotencyHeaders, MachineParams, MigrationListQuery, RunQuery, VerbQuery } from '../schemas/requests.ts';
import { withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';
import { listLatestRuns } from '../visibility.ts';

const DEFAULT_PAGE_SIZE = 100;
const tags = ['migrations'];

export const migrationRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  app.post(
    '/v1/migrations',
    {
      schema: {
        tags,
        operationId: 'createMigration',
        summary: "Move a Service's traffic from machines to pods, or with validateOnly show what that would do",
        description:
          'The request is frozen: a run goes by it to its end. The same body again is answered with the run that is there; another ' +
          'one while it runs is refused with 409. After its end, or a rollback, the name is free again.',
        querystring: VerbQuery,
        headers: IdempotencyHeaders,
        body: CreateMigration,
        response: withProblems({ 200: MigrationPlan, 202: Operation }, [400, 409, 413, 415, 422, 429, 503, 504]),
      },
    },
    async (request, reply) => {
      if (request.query.validateOnly === true) {
        return reply.code(200).send(await planMigration(temporal, request.body));
      }
      const operation = await startMigration(temporal, request.body, request.headers['idempotency-key']);
      return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
    },
  );

  app.get(
    '/v1/migrations',
    {
      schema: {
        tags,
        operationId: 'listMigrations',
        summary: 'List migrations by their last runs; works without a worker',
        querystring: MigrationListQuery,
        response: withProblems({ 200: MigrationList }, [400, 429, 503]),
      },
    },
    async ({ query: { namespace, pageSize = DEFAULT_PAGE_SIZE, pageToken }, visible }) => {
      const inNamespace = namespace === undefined ? '' : ` AND MeshliftNamespace = '${namespace}'`;
      const query = `WorkflowType = 'migrateWorkload'${inNamespace}`;
      const { runs, nextPageToken } = await temporal.inTime(() =>
        listLatestRuns(temporal.client, temporal.namespace, { query, visible, pageSize, pageToken }),
      );
      const migrations = runs.flatMap((run) => {
        const row = operationRow(run);
        if (row === undefined) return [];
        const { target, phase, startedAt, endedAt } = row;
        return [{ ...target, phase, startedAt, ...(endedAt === undefined ? {} : { endedAt }) }];
      });
      return { migrations, ...(nextPageToken === undefined ? {} : { nextPageToken }) };
    },
  );

  app.get(
    '/v1/migrations/:namespace/:name',
    {
      schema: {
        tags,
        operationId: 'getMigration',
        summary: 'Read one migration: its steps, its weights with their evidence, and what it waits for',
        params: MachineParams,
        querystring: RunQuery,
        response: withProblems({ 200: Operation }, [400, 404, 429, 503]),
      },
    },
    ({ params, query }) => readOperation(temporal, migrationId(params), query.run),
  );

  done();
};
