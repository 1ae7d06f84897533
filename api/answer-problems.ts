/** Turns whatever goes wrong in a request into one problem body; the log gets the rest, never a body or a value of it. */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { faultsOf } from './faults.ts';
import { problem, problemOfTemporal, ProblemError } from './problems.ts';
import type { ProblemType } from './problems.ts';

const problemOfFastifyCode: Readonly<Record<string, ProblemType>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed-json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media-type-unsupported',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_BAD_URL: 'route-not-found',
};

export function answerProblems(app: Pick<FastifyInstance, 'setErrorHandler' | 'setNotFoundHandler'>): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => answer(asProblem(error), request, reply));
  app.setNotFoundHandler((request, reply) => answer(problem('route-not-found'), request, reply));
}

function asProblem(error: FastifyError | Error): ProblemError {
  if (error instanceof ProblemError) return error;
  if ('validation' in error) {
    const errors = faultsOf(error.validation, error.validationContext);
    return problem('invalid-request', {
      errors,
      detail: errors.map(({ path, message }) => `${path}: ${message}`).join('; '),
    });
  }
  const type = 'code' in error ? problemOfFastifyCode[error.code] : undefined;
  // A parser's message quotes the body, so it is no cause to keep.
  if (type !== undefined) return problem(type);
  return problemOfTemporal(error) ?? problem('internal', { cause: error });
}

function answer(found: ProblemError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (found.problemType === 'internal') request.log.error({ err: found.cause }, 'request failed');
  else
    request.log.info(
      { problem: found.problemType, status: found.status, cause: messageOf(found.cause) },
      'request refused',
    );
  if (found.retryAfterS !== undefined) reply.header('retry-after', String(found.retryAfterS));
  return reply.code(found.status).header('x-request-id', request.id).type('application/problem+json').send(found.body);
}

/** What the client's wrapper says, then what Temporal said. */
function messageOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const cause = messageOf(error.cause);
  return cause === undefined || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
