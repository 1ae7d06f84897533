/** Turns whatever goes wrong in a request into one problem body; the log gets the rest, never a body or a value of it. */
import type { Socket } from 'node:net';

import type { ConnectionError, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { faultsOf } from './faults.ts';
import { problem, type ProblemError, problemOf, type ProblemType } from './problems.ts';

const problemOfFastifyCode: Readonly<Record<string, ProblemType>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed-json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media-type-unsupported',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
  FST_ERR_BAD_URL: 'route-not-found',
  // Of a method that no call has.
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: 'route-not-found',
};

/** Answers on the bare connection what Node could not read as a request. */
export function answerUnread(error: ConnectionError, socket: Socket): void {
  if (!socket.writable) return;
  const { status, body } = problem(error.code === 'HPE_HEADER_OVERFLOW' ? 'headers-too-large' : 'malformed-http');
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${body.title}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}

export function answerProblems(app: Pick<FastifyInstance, 'setErrorHandler' | 'setNotFoundHandler'>): void {
  app.setErrorHandler((error: FastifyError | Error, request, reply) => answer(asProblem(error), request, reply));
  app.setNotFoundHandler((request, reply) => answer(problem('route-not-found'), request, reply));
}

function asProblem(error: FastifyError | Error): ProblemError {
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
  return problemOf(error);
}

function answer(found: ProblemError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logProblem(found, request);
  if (found.status === 401) reply.header('www-authenticate', 'Bearer');
  // The rate limit knows better when it ends.
  if (found.retryAfterS !== undefined && !reply.hasHeader('retry-after'))
    reply.header('retry-after', String(found.retryAfterS));
  return reply.code(found.status).header('x-request-id', request.id).type('application/problem+json').send(found.body);
}

/** Also for a problem that is told in the middle of a stream. */
export function logProblem(found: ProblemError, { log }: Pick<FastifyRequest, 'log'>): void {
  const told = { problem: found.problemType, status: found.status, cause: messageOf(found.cause) };
  if (found.problemType === 'internal') log.error({ err: found.cause }, 'request failed');
  else if (found.status >= 500) log.warn(told, 'request not answered');
  else log.info(told, 'request refused');
}

/** What the client's wrapper says, then what Temporal said. */
function messageOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const cause = messageOf(error.cause);
  return cause === undefined || error.message.includes(cause) ? error.message : `${error.message}: ${cause}`;
}
