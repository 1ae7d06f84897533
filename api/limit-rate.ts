/** So many requests a minute for each caller, by name; where there is none, for each address. */
import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';

import { problem } from './problems.ts';

/** Limits the routes that this scope gets from now on. It runs after the caller is known and before a body is read. */
export async function limitRate(app: FastifyInstance, requestsPerMinute: number): Promise<void> {
  await app.register(rateLimit, {
    max: requestsPerMinute,
    timeWindow: '1 minute',
    keyGenerator: ({ caller, ip }) => (caller === undefined ? `address ${ip}` : `caller ${caller.username}`),
    errorResponseBuilder: (_request, { ttl }) =>
      problem('too-many-requests', {
        detail: `More than ${requestsPerMinute} requests in a minute; repeat in ${Math.ceil(ttl / 1000)} s`,
      }),
  });
}
