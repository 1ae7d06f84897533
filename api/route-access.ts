/** Which verb on `machines.meshlift.dev` a call needs, and where its namespace stands: from method and path alone. Pure. */
import type { AccessVerb } from '../activities/ports/access-port.ts';

export interface RouteAccess {
  readonly verb: AccessVerb;
  readonly namespace: 'path' | 'body' | 'query' | 'operation';
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Whatever is asked of a machine that is there, but to read, change or end it, is an update. */
const verbOnMachine: Readonly<Record<Method, AccessVerb>> = {
  GET: 'get',
  POST: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Throws for a route that this says nothing of: it cannot be added until it is said here who may call it. */
export function accessOf(method: string, url: string): RouteAccess {
  const asked = method === 'HEAD' ? 'GET' : method;
  if (isMethod(asked)) {
    if (/^\/v1\/machines\/:namespace\/:name(\/|$)/.test(url)) return { verb: verbOnMachine[asked], namespace: 'path' };
    if (/^\/v1\/operations\/:id(\/|$)/.test(url)) {
      return { verb: asked === 'GET' ? 'get' : 'update', namespace: 'operation' };
    }
    if (/^\/v1\/(machines|operations)$/.test(url) && asked === 'GET') return { verb: 'list', namespace: 'query' };
    if (url === '/v1/machines' && asked === 'POST') return { verb: 'create', namespace: 'body' };
  }
  throw new Error(`Nothing says who may call ${method} ${url}: add it to route-access.ts`);
}

const isMethod = (method: string): method is Method => method in verbOnMachine;
