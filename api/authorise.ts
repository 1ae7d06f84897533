/**
 * Who may do what: every call under /v1 is a verb on `machines` or `migrations` of `meshlift.dev` in the namespace concerned, and the cluster's
 * RBAC says whether the caller may. Where nobody can be asked the answer is 503, never yes. A caller who may not read in a
 * namespace gets the same answer whether or not what they ask for is there.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';

import type {
  AccessPort,
  AccessQuestion,
  AccessVerb,
  Caller,
  MeshliftResource,
} from '../activities/ports/access-port.ts';
import { operationNotFound, targetOfOperation } from './operation-calls.ts';
import { possibleTargets } from './operation-of-machine.ts';
import { problem, ProblemError } from './problems.ts';
import { accessOf, type RouteAccess } from './route-access.ts';
import type { Manifest } from './schemas/migration.ts';
import { withProblems } from './schemas/responses.ts';
import type { Temporal } from './temporal.ts';
import type { Visible } from './visibility.ts';

/** Where a verb is to be allowed; a name narrows it for Roles with resourceNames. */
interface Place {
  readonly namespace?: string;
  readonly name?: string;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
  interface FastifyRequest {
    caller: Caller | undefined;
    /** What a list may show; of no meaning for other calls. */
    visible: Visible;
    /** Throws the problem that a new request would get now. For streams, once a minute; answers are at most 10 s old. */
    reauthorise(): Promise<void>;
  }
}

interface Doors {
  /** Absent: authentication is off. */
  readonly access: AccessPort | undefined;
  readonly temporal: Temporal;
}

/** What every call may be answered with before its own part begins. */
const refusals = withProblems({}, [401, 403, 429, 503]);
/** Namespaces are asked for in groups of this size. */
const ASKED_AT_ONCE = 20;

/** Guards every route that this scope gets from now on. */
export function authorise(app: FastifyInstance, { access, temporal }: Doors): void {
  app.decorateRequest('caller', undefined);
  app.decorateRequest('visible', 'all');
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: accessOf(String(route.method), route.url) };
    const response = { ...(route.schema?.response as object | undefined), ...refusals };
    route.schema = { ...route.schema, security: [{ bearer: [] }], response };
  });
  if (access === undefined) {
    app.decorateRequest('reauthorise', () => Promise.resolve());
    return;
  }
  const mayCall = async (request: FastifyRequest): Promise<void> => {
    if (request.caller === undefined) throw problem('unauthenticated');
    const asked = new Asked(access, request.caller, resourceOf(request));
    await whenAnswered(() => checkCall(request, asked, temporal));
  };
  app.addHook('onRequest', async (request) => {
    request.caller = await callerOf(request, access);
  });
  // After the rate limit, so that refused callers count, and before a body is read.
  app.addHook('preParsing', async ({ caller }) => {
    if (caller === undefined) throw problem('unauthenticated');
    await Promise.resolve();
  });
  app.addHook('preHandler', async (request) => {
    await mayCall(request);
    const { access: needed } = request.routeOptions.config;
    if (needed?.verb !== 'get' && needed?.verb !== 'list')
      request.log.info({ caller: request.caller?.username, verb: needed?.verb }, 'caller may');
  });
  app.decorateRequest('reauthorise', async function (this: FastifyRequest) {
    this.caller = await callerOf(this, access);
    await mayCall(this);
  });
}

async function callerOf({ headers }: FastifyRequest, access: AccessPort): Promise<Caller | undefined> {
  const token = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? undefined : await whenAnswered(() => access.authenticate(token));
}

/** A cluster that cannot be asked says nothing: not yes, and not no. */
async function whenAnswered<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof ProblemError ? error : problem('access-unavailable', { cause: error });
  }
}

async function checkCall(request: FastifyRequest, asked: Asked, temporal: Temporal): Promise<void> {
  const { access } = request.routeOptions.config;
  if (access === undefined) throw problem('forbidden');
  const { verb } = access;
  switch (access.namespace) {
    case 'path':
      return asked.require(verb, request.params as Place);
    case 'body':
      for (const namespace of namespacesOf(request.body as Placed)) await asked.require(verb, { namespace });
      for (const created of createdBy(request.body as Placed)) await asked.requireOf(created);
      return;
    case 'query': {
      const { namespace } = request.query as Place;
      if (namespace !== undefined) return asked.require(verb, { namespace });
      request.visible = await asked.namespaces(verb);
      return;
    }
    case 'operation':
      return checkOperation((request.params as { readonly id: string }).id, verb, asked, temporal);
  }
}

/** What a body is about, and what else it would have written. */
interface Placed {
  readonly namespace: string;
  readonly ownGatewayRoutes?: readonly { readonly namespace?: string }[];
  readonly target?: { readonly manifests?: readonly Pick<Manifest, 'kind'>[] };
}

const namespacesOf = ({ namespace, ownGatewayRoutes = [] }: Placed): ReadonlySet<string> =>
  new Set([namespace, ...ownGatewayRoutes.map((route) => route.namespace ?? namespace)]);

const createdKinds: Readonly<Record<Manifest['kind'], Pick<AccessQuestion, 'group' | 'resource'>>> = {
  Deployment: { group: 'apps', resource: 'deployments' },
  ServiceAccount: { group: '', resource: 'serviceaccounts' },
  ConfigMap: { group: '', resource: 'configmaps' },
};

/** A run creates it, writes to it, and deletes it where it is taken back. */
const ownedVerbs: readonly AccessVerb[] = ['create', 'patch', 'delete'];

/** What Meshlift's account does with what a body brings along, whoever sends it has to be allowed to do as well. */
const createdBy = ({ namespace, target }: Placed): readonly AccessQuestion[] =>
  [...new Set(target?.manifests?.map(({ kind }) => kind))].flatMap((kind) =>
    ownedVerbs.map((verb) => ({ verb, namespace, ...createdKinds[kind] })),
  );

/** An operation belongs to the namespace of its target. One that the caller may not read is not there for them. */
async function checkOperation(id: string, verb: AccessVerb, asked: Asked, temporal: Temporal): Promise<void> {
  if ((await asked.may('get', {})) && (await asked.may(verb, {}))) return;
  // Where the id can only mean what the caller may not read, nothing is looked up: the answer takes no longer if it is there.
  const readable = await asked.filter('get', possibleTargets(id));
  const target = readable.length === 0 ? undefined : await targetOfOperation(temporal, id);
  const isReadable = readable.some(({ namespace, name }) => namespace === target?.namespace && name === target.name);
  if (target === undefined || !isReadable) throw operationNotFound(id);
  await asked.require(verb, target);
}

/** Operations are of machines, but for those whose id says that they are migrations. A list of all is one of machines. */
function resourceOf({ routeOptions, params }: FastifyRequest): MeshliftResource {
  const { id = '' } = params as { readonly id?: string };
  return routeOptions.config.access?.resource ?? (id.startsWith('migrate.') ? 'migrations' : 'machines');
}

/** The questions of one caller about one kind of thing. */
class Asked {
  readonly #access: AccessPort;
  readonly #caller: Caller;
  readonly #resource: MeshliftResource;
  constructor(access: AccessPort, caller: Caller, resource: MeshliftResource) {
    this.#access = access;
    this.#caller = caller;
    this.#resource = resource;
  }

  async may(verb: AccessVerb, { namespace, name }: Place): Promise<boolean> {
    return await this.#access.allows(this.#caller, {
      verb,
      resource: this.#resource,
      ...(namespace === undefined ? {} : { namespace }),
      ...(name === undefined ? {} : { name }),
    });
  }

  async require(verb: AccessVerb, place: Place): Promise<void> {
    if (!(await this.may(verb, place))) throw this.#refusal(verb, `${this.#resource}.meshlift.dev`, place);
  }

  /** Of an object of the cluster itself. */
  async requireOf(question: AccessQuestion): Promise<void> {
    const { verb, group = '', resource } = question;
    if (await this.#access.allows(this.#caller, question)) return;
    throw this.#refusal(verb, `${resource}${group === '' ? '' : `.${group}`}`, question);
  }

  #refusal(verb: AccessVerb, what: string, { namespace = '' }: Place): ProblemError {
    return problem('forbidden', {
      detail: `${this.#caller.username} may not ${verb} ${what} in namespace ${namespace}; its owner can allow it with a Role`,
    });
  }

  async filter<T extends Place>(verb: AccessVerb, places: readonly T[]): Promise<readonly T[]> {
    const allowed: T[] = [];
    for (let from = 0; from < places.length; from += ASKED_AT_ONCE) {
      const group = places.slice(from, from + ASKED_AT_ONCE);
      const answers = await Promise.all(group.map((place) => this.may(verb, place)));
      allowed.push(...group.filter((_, index) => answers[index] === true));
    }
    return allowed;
  }

  async namespaces(verb: AccessVerb): Promise<Visible> {
    if (await this.may(verb, {})) return 'all';
    const known = (await this.#access.listNamespaces()).map((namespace) => ({ namespace }));
    return (await this.filter(verb, known)).map(({ namespace }) => namespace).sort();
  }
}
