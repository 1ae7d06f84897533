/** The OpenAPI 3.1 document at `/openapi.json`, made from the schemas that check the requests, and its page at `/docs`. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';

type Json = null | boolean | number | string | Json[] | JsonObject;
interface JsonObject {
  [key: string]: Json;
}

const NAME = 'x-schema-name';

/** Registered before the routes, which it watches. */
export async function serveOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Meshlift',
        version,
        description: 'Makes virtual and bare-metal machines full members of an Istio mesh.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'A token of the cluster for the audience meshlift' },
        },
      },
      tags: [
        { name: 'machines', description: 'Machines under management' },
        { name: 'migrations', description: 'Workloads that move from machines to pods' },
        { name: 'operations', description: 'What runs, or ran' },
        { name: 'health', description: 'For probes' },
      ],
    },
    // The plugin drops $id on its way: names travel beside it.
    transform: ({ schema, url }) => ({ schema: rename(schema as Json, '$id', NAME) as typeof schema, url }),
    transformObject: (document) => {
      if (!('openapiObject' in document)) throw new Error('the API is described by OpenAPI 3.1, not Swagger 2');
      return nameSchemas(document.openapiObject as Json) as typeof document.openapiObject;
    },
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // The base layout has no bar to load other documents with.
    uiConfig: { docExpansion: 'list', layout: 'BaseLayout' },
    theme: { title: 'Meshlift API' },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
}

/** Moves every schema that has a name to `components.schemas`, once, and refers to it. */
function nameSchemas(document: Json): Json {
  const named: Record<string, Json> = {};
  const visited = mapObjects(document, (object) => {
    const { [NAME]: name, ...schema } = object;
    if (typeof name !== 'string') return object;
    named[name] = schema;
    return { $ref: `#/components/schemas/${name}` };
  });
  const schemas = Object.fromEntries(Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1)));
  const { components } = visited as JsonObject;
  return { ...(visited as JsonObject), components: { ...(components as JsonObject), schemas } };
}

function rename(document: Json, from: string, to: string): Json {
  return mapObjects(document, ({ [from]: value, ...rest }) => (value === undefined ? rest : { ...rest, [to]: value }));
}

/** Innermost first. */
function mapObjects(value: Json, change: (object: JsonObject) => JsonObject): Json {
  if (Array.isArray(value)) return value.map((inner) => mapObjects(inner, change));
  if (typeof value !== 'object' || value === null) return value;
  return change(Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapObjects(inner, change)])));
}
