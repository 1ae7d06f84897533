/** `/v1/operations`: list, read, cancel. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { cancelOperation, readOperation } from '../operation-calls.ts';
import { refuseBody } from '../refuse-body.ts';
import { operationRow, verbsOfWorkflow } from '../rows.ts';
import { Operation, OperationList } from '../schemas/operation.ts';
import { NoQuery, OperationListQuery, OperationParams, RunQuery } from '../schemas/requests.ts';
import { CancelAccepted, withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';
import { listLatestRuns } from '../visibility.ts';

const DEFAULT_PAGE_SIZE = 100;
const tags = ['operations'];
const workflowTypes = Object.keys(verbsOfWorkflow)
  .map((type) => `'${type}'`)
  .join(', ');

export const operationRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  app.get(
    '/v1/operations',
    {
      schema: {
        tags,
        operationId: 'listOperations',
        summary: 'List operations, running ones first; works without a worker',
        querystring: OperationListQuery,
        response: withProblems({ 200: OperationList }, [400, 429, 503]),
      },
    },
    async ({ query: { namespace, pageSize = DEFAULT_PAGE_SIZE, pageToken }, visible }) => {
      const inNamespace = namespace === undefined ? '' : ` AND MeshliftNamespace = '${namespace}'`;
      const query = `WorkflowType IN (${workflowTypes})${inNamespace}`;
      const { runs, nextPageToken } = await temporal.inTime(() =>
        listLatestRuns(temporal.client, temporal.namespace, { query, visible, pageSize, pageToken }),
      );
      const operations = runs.flatMap((run) => {
        const row = operationRow(run);
        return row === undefined ? [] : [{ ...row, ...temporal.workflowUrl(row.id) }];
      });
      return { operations, ...(nextPageToken === undefined ? {} : { nextPageToken }) };
    },
  );

  app.get(
    '/v1/operations/:id',
    {
      schema: {
        tags,
        operationId: 'getOperation',
        summary: 'Read one operation with its steps and conditions, running or ended',
        params: OperationParams,
        querystring: RunQuery,
        response: withProblems({ 200: Operation }, [400, 404, 429, 503]),
      },
    },
    ({ params, query }) => readOperation(temporal, params.id, query.run),
  );

  app.post(
    '/v1/operations/:id/cancel',
    {
      preValidation: refuseBody,
      schema: {
        tags,
        operationId: 'cancelOperation',
        summary: 'Stop an operation; what it did is undone on both sides, and Location says how far that is',
        description:
          'Takes no body. 409 where there is nothing to stop: the operation waits for its turn, undoes what it did already, ' +
          'has ended, or offboards a machine whose proxy it has stopped, from where it only goes forward.',
        params: OperationParams,
        querystring: NoQuery,
        response: withProblems({ 202: CancelAccepted }, [400, 404, 409, 413, 415, 429, 503]),
      },
    },
    async ({ params: { id } }, reply) => {
      await cancelOperation(temporal, id);
      return reply.code(202).header('location', `/v1/operations/${id}`).send({ id });
    },
  );

  done();
};
