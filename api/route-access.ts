/** Which verb on which resource of `meshlift.dev` a call needs, and where its namespace stands: from method and path alone. Pure. */
import type { AccessVerb, MeshliftResource } from '../activities/ports/access-port.ts';

export interface RouteAccess {
  readonly verb: AccessVerb;
  /** Absent: that of the operation, or of every kind of operation. */
  readonly resource?: MeshliftResource;
  readonly namespace: 'path' | 'body' | 'query' | 'operation';
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** Whatever is asked of one that is there, but to read, change or end it, is an update. */
const verbOnOne: Readonly<Record<Method, AccessVerb>> = {
  GET: 'get',
  POST: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Throws for a route that this says nothing of: it cannot be added until it is said here who may call it. */
export function accessOf(method: string, url: string): RouteAccess {
  const asked = method === 'HEAD' ? 'GET' : method;
  if (isMethod(asked)) {
    if (/^\/v1\/operations\/:id(\/|$)/.test(url)) {
      return { verb: asked === 'GET' ? 'get' : 'update', namespace: 'operation' };
    }
    if (url === '/v1/operations' && asked === 'GET') return { verb: 'list', namespace: 'query' };
    const [, resource, isOne] = /^\/v1\/(machines|migrations)(?:$|(\/:namespace\/:name)(?:\/|$))/.exec(url) ?? [];
    if (isResource(resource)) {
      if (isOne !== undefined) return { verb: verbOnOne[asked], resource, namespace: 'path' };
      if (asked === 'GET') return { verb: 'list', resource, namespace: 'query' };
      if (asked === 'POST') return { verb: 'create', resource, namespace: 'body' };
    }
  }
  throw new Error(`Nothing says who may call ${method} ${url}: add it to route-access.ts`);
}

const isResource = (resource: string | undefined): resource is MeshliftResource =>
  resource === 'machines' || resource === 'migrations';
const isMethod = (method: string): method is Method => method in verbOnOne;
