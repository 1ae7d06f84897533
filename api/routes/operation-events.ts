/** `/v1/operations/{id}/events`: an operation as it goes on. A stream is a plain body, so no plugin is needed for it. */
import { Readable } from 'node:stream';

import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { logProblem } from '../answer-problems.ts';
import { readOperation } from '../operation-calls.ts';
import { isEnded, operationEvents, sharedReads } from '../operation-events.ts';
import { LastEventHeaders, NoQuery, OperationParams } from '../schemas/requests.ts';
import { Events, NothingMore, withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';

export const operationEventRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  const read = sharedReads((id) => readOperation(temporal, id));
  const closing = new AbortController();
  app.addHook('preClose', async () => {
    closing.abort();
    await Promise.resolve();
  });

  app.get(
    '/v1/operations/:id/events',
    {
      // The head of a stream would come when the stream ends.
      exposeHeadRoute: false,
      schema: {
        tags: ['operations'],
        operationId: 'followOperation',
        summary: 'Follow one operation as server-sent events, until it ends',
        description:
          'Each event `operation` holds the whole operation; its id is the revision. With Last-Event-ID a stream resumes: what is ' +
          'newer is sent, and an operation that ended with that revision is answered with 204. An event `problem` ends a stream ' +
          'that may not go on.',
        params: OperationParams,
        querystring: NoQuery,
        headers: LastEventHeaders,
        response: withProblems({ 200: Events, 204: NothingMore }, [400, 404, 429, 503]),
      },
    },
    async (request, reply) => {
      const { params, headers } = request;
      const text = headers['last-event-id'];
      const lastEventId = text === undefined ? undefined : Number(text);
      const operation = await read(params.id);
      if (isEnded(operation) && operation.revision !== undefined && operation.revision === lastEventId)
        return reply.code(204).send(null);
      const left = new AbortController();
      reply.raw.once('close', () => {
        left.abort();
      });
      const signal = AbortSignal.any([closing.signal, left.signal]);
      const events = operationEvents({
        operation,
        lastEventId,
        read,
        reauthorise: () => request.reauthorise(),
        onProblem: (problem) => {
          logProblem(problem, request);
        },
        signal,
      });
      return reply
        .code(200)
        .headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
        .type('text/event-stream')
        .send(Readable.from(events) as never);
    },
  );

  done();
};
