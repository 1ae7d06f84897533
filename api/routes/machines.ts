/** `/v1/machines`: onboard, list, read, change, offboard. Verbs on a member are in `machine-verbs.ts`. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { etagOf, versionOf } from '../etag.ts';
import { offboardMachine, onboardMachine, patchMachine, readMachine } from '../machine-calls.ts';
import { planOnboarding, planVerb } from '../plan-call.ts';
import { refuseBody } from '../refuse-body.ts';
import { refuseWindow } from '../refuse-window.ts';
import { isMachine, machineRow } from '../rows.ts';
import { Machine, MachineList, OnboardMachine, PatchMachine, Plan } from '../schemas/machine.ts';
import {
  IdempotencyHeaders,
  IfMatchHeaders,
  MachineListQuery as ListQuery,
  MachineParams,
  NoQuery,
  OffboardQuery,
  VerbQuery,
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
        querystring: VerbQuery,
        headers: IdempotencyHeaders,
        body: OnboardMachine,
        response: withProblems({ 200: Plan, 202: Operation }, [400, 409, 413, 415, 422, 429, 503, 504]),
      },
    },
    async (request, reply) => {
      refuseWindow(request.body);
      if (request.query.validateOnly === true)
        return reply.code(200).send(await planOnboarding(temporal, request.body));
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
    async ({ query, visible }) => {
      const { pageSize = DEFAULT_PAGE_SIZE, pageToken } = query;
      const { runs, nextPageToken } = await temporal.inTime(() =>
        listLatestRuns(temporal.client, temporal.namespace, {
          query: machinesQuery(query),
          visible,
          pageSize,
          pageToken,
        }),
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
    async ({ params }, reply) => {
      const machine = await readMachine(temporal, params);
      return reply.header('etag', etagOf(machine)).send(machine);
    },
  );

  app.patch(
    '/v1/machines/:namespace/:name',
    {
      schema: {
        tags,
        operationId: 'patchMachine',
        summary: 'Change what is desired of a machine beside its specification; answers with the machine',
        description:
          'A field that is there replaces the whole field; nothing runs for it, and the same again changes nothing. With the ETag of ' +
          'a GET in If-Match, a machine that has changed since is refused with 412. A host changes only while no operation runs.',
        params: MachineParams,
        querystring: NoQuery,
        headers: IfMatchHeaders,
        body: PatchMachine,
        response: withProblems({ 200: Machine }, [400, 404, 409, 412, 413, 415, 422, 429, 503]),
      },
    },
    async ({ params, body: patch, headers }, reply) => {
      refuseWindow(patch);
      const machine = await patchMachine(temporal, params, { patch, ...versionOf(headers['if-match']) });
      return reply.header('etag', etagOf(machine)).send(machine);
    },
  );

  app.delete(
    '/v1/machines/:namespace/:name',
    {
      preValidation: refuseBody,
      schema: {
        tags,
        operationId: 'offboardMachine',
        summary: 'Offboard a machine: out of the mesh, and as it was found; with validateOnly show what that would do',
        description:
          'Takes no body. With force=true the cluster side alone is taken away, for a machine that does not answer any more: what ' +
          'Meshlift put on it stays there, and the operation names it.',
        params: MachineParams,
        querystring: OffboardQuery,
        headers: IdempotencyHeaders,
        response: withProblems({ 200: Plan, 202: Operation }, [400, 404, 409, 413, 415, 422, 429, 503, 504]),
      },
    },
    async ({ params, query, headers }, reply) => {
      const { validateOnly = false, force = false } = query;
      if (validateOnly) return reply.code(200).send(await planVerb(temporal, params, { verb: 'offboard', force }));
      const idempotencyKey = headers['idempotency-key'];
      const operation = await offboardMachine(temporal, params, { force, idempotencyKey });
      return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
    },
  );

  done();
};
