/** Validates every part of a request by its schema; what stands in a query is read as its type is written, and not otherwise. */
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';

/** The compiler would take `true` for 1, 1 for true, and 1.9 for 1. */
const writtenAs: Readonly<Record<string, RegExp>> = { integer: /^-?\d+$/, boolean: /^(true|false)$/ };

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, { readonly type?: string }>>;
}

/** Refuses unknown fields and, beside queries, parameters and headers, what is of another type; coerces no body. */
export const compileValidator: FastifySchemaCompiler<TSchema> = (route) => {
  const validate = TypeBoxValidatorCompiler(route);
  if (route.httpPart !== 'querystring') return validate;
  const { properties = {} } = route.schema as ObjectSchema;
  return (query: Readonly<Record<string, unknown>>) => validate(withoutMisread(query, properties));
};

/** A value that is not written as its type becomes one that no type takes. */
function withoutMisread(
  query: Readonly<Record<string, unknown>>,
  properties: NonNullable<ObjectSchema['properties']>,
): Readonly<Record<string, unknown>> {
  const read = Object.entries(query).map(([name, value]) => {
    const form = writtenAs[properties[name]?.type ?? ''];
    return [name, form === undefined || (typeof value === 'string' && form.test(value)) ? value : {}];
  });
  return Object.fromEntries(read) as Readonly<Record<string, unknown>>;
}
