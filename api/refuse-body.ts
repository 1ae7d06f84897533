/** For calls that read no body: what a caller sends there is refused, not ignored. */
import type { FastifyRequest } from 'fastify';

import { problem } from './problems.ts';

export async function refuseBody({
  body,
  method,
  url,
}: Pick<FastifyRequest, 'body' | 'method' | 'url'>): Promise<void> {
  if (body !== undefined)
    throw problem('invalid-request', { detail: `${method} ${url} takes no body; send it without one` });
  await Promise.resolve();
}
