/**
 * Web pages in a browser on the same machine reach a loopback port too. A page of another site shows itself by `Origin`, one
 * that points its own name at 127.0.0.1 by `Host`.
 */
import type { FastifyRequest } from 'fastify';

import { problem } from './problems.ts';

/** An API that listens on loopback alone answers to no other name. */
export function refuseForeignPages(isOnLoopback: boolean) {
  return async ({ headers }: FastifyRequest): Promise<void> => {
    const { host = '', origin } = headers;
    if (isOnLoopback && !isLoopbackName(host))
      throw problem('cross-site', { detail: `Host '${host}' is not a loopback name; call http://127.0.0.1` });
    if (origin !== undefined && URL.parse(origin)?.host !== host) {
      throw problem('cross-site', { detail: `A page of ${origin} may not call the API` });
    }
    await Promise.resolve();
  };
}

function isLoopbackName(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
}
