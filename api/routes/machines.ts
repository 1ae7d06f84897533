/** `/v1/machines`: onboard, list, read, offboard. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { offboardMachine, onboardMachine, readMachine } from '../machine-calls.ts';
import { planMachine } from '../plan-call.ts';
import { refuseBody } from '../refuse-body.ts';
import { isMachine, machineRow } from '../rows.ts';
import { Machine, MachineList, OnboardMachine, Plan } from '../schemas/machine.ts';
import {
  IdempotencyHeaders,
  MachineListQuery as ListQuery,
  MachineParams,
  NoQuery,
  OnboardQuery,
} from '../schemas/requests.ts';
import { Operation } from '../schemas/operation.ts';
import { withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';
import { listLatestRuns } from '../visibility.ts';
import { machinesQuery } from '../machines-query.ts';

const DEFAULT_PAGE_SIZE = 100;
const tags = ['machines'];

export const machineRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  app.post(
    '/v1/machines',
    {
      schema: {
        tags,
        operationId: 'onboardMachine',
        summary: 'Onboard a machine into the mesh, or with validateOnly show what that would do',
        description:
          'The same body again is answered 202 and brings the machine in line; another body for a machine that is there is ' +
          'refused with 409, with validateOnly as well.',
        querystring: OnboardQuery,
        headers: IdempotencyHeaders,
        body: OnboardMachine,
        response: withProblems({ 200: Plan, 202: Operation }, [400, 409, 413, 415, 422, 429, 503, 504]),
      },
    },
    async (request, reply) => {
      if (request.query.validateOnly === true) return reply.code(200).send(await planMachine(temporal, request.body));
      const operation = await onboardMachine(temporal, request.body, request.headers['idempotency-key']);
      return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
    },
  );

  app.get(
    '/v1/machines',
    {
      schema: {
        tags,
        operationId: 'listMachines',
        summary: 'List machines, those that left or failed by their last run; works without a worker',
        querystring: ListQuery,
        response: withProblems({ 200: MachineList }, [400, 429, 503]),
      },
    },
    async ({ query }) => {
      const { pageSize = DEFAULT_PAGE_SIZE, pageToken } = query;
      const { runs, nextPageToken } = await temporal.inTime(() =>
        listLatestRuns(temporal.client, temporal.namespace, { query: machinesQuery(query), pageSize, pageToken }),
      );
      return {
        machines: runs.filter(isMachine).map(machineRow),
        ...(nextPageToken === undefined ? {} : { nextPageToken }),
      };
    },
  );

  app.get(
    '/v1/machines/:namespace/:name',
    {
      schema: {
        tags,
        operationId: 'getMachine',
        summary: 'Read one machine: phase, conditions, proxy, identity, last operations',
        params: MachineParams,
        querystring: NoQuery,
        response: withProblems({ 200: Machine }, [400, 404, 429, 503]),
      },
    },
    ({ params }) => readMachine(temporal, params),
  );

  app.delete(
    '/v1/machines/:namespace/:name',
    {
      preValidation: refuseBody,
      schema: {
        tags,
        operationId: 'offboardMachine',
        summary: 'Offboard a machine: out of the mesh, and as it was found',
        description: 'Takes no body and no query: there is no validateOnly here.',
        params: MachineParams,
        querystring: NoQuery,
        headers: IdempotencyHeaders,
        response: withProblems({ 202: Operation }, [400, 404, 409, 413, 415, 422, 429, 503]),
      },
    },
    async (request, reply) => {
      const operation = await offboardMachine(temporal, request.params, request.headers['idempotency-key']);
      return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
    },
  );

  done();
};
