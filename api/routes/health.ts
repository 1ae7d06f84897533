/** `/livez`: the process answers. `/readyz`: Temporal answers too, and Meshlift's namespace is there. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import { problem, problemOfTemporal } from '../problems.ts';
import { Health, withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';

const tags = ['health'];

export const healthRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  app.get(
    '/livez',
    {
      schema: {
        tags,
        operationId: 'isLive',
        summary: 'The process answers',
        response: withProblems({ 200: Health }, []),
      },
    },
    () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        tags,
        operationId: 'isReady',
        summary: 'Temporal answers and has the namespace',
        response: withProblems({ 200: Health }, [503]),
      },
    },
    async () => {
      try {
        await temporal.ping();
      } catch (error) {
        const known = problemOfTemporal(error);
        throw known?.problemType === 'namespace-unprepared' ? known : problem('temporal-unavailable', { cause: error });
      }
      return { status: 'ok' as const };
    },
  );

  done();
};
