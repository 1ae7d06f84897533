/**
 * The one table of what the API answers when it does not do as asked (RFC 9457). Types are stable: clients match on
 * `type`, never on words. Text of a 5xx says nothing of the inside; that stays in the log.
 */
import { STATUS_CODES } from 'node:http';

import {
  isGrpcServiceError,
  QueryNotRegisteredError,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure, NamespaceNotFoundError, TerminatedFailure, TimeoutFailure } from '@temporalio/common';

import type { Problem } from './schemas/common.ts';

const problems = {
  'malformed-json': {
    status: 400,
    detail: 'The body is not JSON; send one JSON object with Content-Type: application/json',
  },
  'invalid-request': { status: 400, detail: 'The request does not match its schema; `errors` names each field' },
  'invalid-page-token': {
    status: 400,
    detail: 'This pageToken belongs to another list or filter; start again without it',
  },
  'route-not-found': { status: 404, detail: 'There is no such call; /openapi.json lists them all' },
  'machine-not-found': { status: 404, detail: 'Meshlift knows no such machine; GET /v1/machines lists those it knows' },
  'operation-not-found': { status: 404, detail: 'There is no such operation; GET /v1/operations lists them' },
  'machine-exists': { status: 409, detail: 'The machine is in the mesh already, onboarded by a different request' },
  'machine-not-in-mesh': {
    status: 409,
    detail: 'The machine is known but not in the mesh; onboard it again or DELETE it',
  },
  'machine-claimed': {
    status: 409,
    detail: 'A migration moves what this machine serves; wait for its end, or roll it back',
  },
  'machine-busy': { status: 409, detail: 'Another operation runs on this machine; wait for it or cancel it' },
  'migration-exists': { status: 409, detail: 'A migration of this name runs, started by a different request' },
  'control-not-applicable': { status: 409, detail: 'This does not apply to the operation now' },
  'operation-not-running': { status: 409, detail: 'The operation does not run; there is nothing to cancel' },
  'operation-not-cancellable': {
    status: 409,
    detail: 'The operation undoes what it did already, or has come to where it only goes forward; wait for its end',
  },
  'version-differs': {
    status: 412,
    detail: 'The machine has changed since the version that If-Match names; GET it again, then repeat with its ETag',
  },
  'malformed-http': { status: 400, detail: 'What was sent is no HTTP request' },
  'headers-too-large': {
    status: 431,
    detail: 'Address and headers together are larger than those of any valid request',
  },
  'body-too-large': { status: 413, detail: 'The body is larger than any valid request' },
  'media-type-unsupported': { status: 415, detail: 'Only application/json is read' },
  unauthenticated: {
    status: 401,
    detail: 'Send Authorization: Bearer with a token that the cluster takes for the audience meshlift',
  },
  forbidden: { status: 403, detail: 'The RBAC of the cluster does not allow this' },
  'cross-site': {
    status: 403,
    detail: 'The request comes from a web page of another site, or names a host that is not loopback',
  },
  'restart-window-missing': {
    status: 422,
    detail: "Windows are not there yet: use restart 'manual' or 'now', or leave it out",
  },
  'idempotency-key-reused': {
    status: 422,
    detail: 'This Idempotency-Key came with another body before; use a new key',
  },
  'too-many-requests': {
    status: 429,
    detail: 'Too much is in flight on this machine or in Temporal; repeat later',
    retryAfterS: 2,
  },
  internal: {
    status: 500,
    detail: 'Something went wrong inside Meshlift; the log of the API has it under the id in x-request-id',
  },
  'no-worker': {
    status: 503,
    detail:
      'No worker answered in time. Start `meshlift worker`, then repeat the request: with the same Idempotency-Key nothing is done twice',
    retryAfterS: 5,
  },
  'access-unavailable': {
    status: 503,
    detail: 'The cluster that says who may do what does not answer; nothing was done. Repeat the request',
    retryAfterS: 5,
  },
  'temporal-unavailable': {
    status: 503,
    detail: 'Temporal does not answer; see GET /readyz, then repeat the request',
    retryAfterS: 5,
  },
  'namespace-unprepared': {
    status: 503,
    detail: 'The Temporal namespace or its search attributes are not there yet: a worker creates them when it starts',
    retryAfterS: 5,
  },
  'plan-timed-out': {
    status: 504,
    detail: 'The machine or the cluster was too slow for a plan; repeat, or see GET /v1/operations',
    retryAfterS: 10,
  },
} as const satisfies Record<string, { status: number; detail: string; retryAfterS?: number }>;

export type ProblemType = keyof typeof problems;

/** Failure types with which workflows refuse a request, and what they are called here. */
const refusals: Readonly<Record<string, ProblemType>> = {
  MachineExists: 'machine-exists',
  MachineNotFound: 'machine-not-found',
  MachineNotInMesh: 'machine-not-in-mesh',
  VersionDiffers: 'version-differs',
  MachineBusy: 'machine-busy',
  MachineClaimed: 'machine-claimed',
  ControlNotApplicable: 'control-not-applicable',
  IdempotencyKeyReused: 'idempotency-key-reused',
};

type Extras = Partial<Pick<Problem, 'detail' | 'errors' | 'conditions'>>;

/** A problem on its way to the caller; the `cause` goes to the log only. */
export class ProblemError extends Error {
  readonly problemType: ProblemType;
  readonly extras: Extras;

  constructor(problemType: ProblemType, { cause, ...extras }: Extras & { cause?: unknown }) {
    super(extras.detail ?? problems[problemType].detail, { cause });
    this.name = 'ProblemError';
    this.problemType = problemType;
    this.extras = extras;
  }

  get status(): number {
    return problems[this.problemType].status;
  }

  get retryAfterS(): number | undefined {
    const row = problems[this.problemType];
    return 'retryAfterS' in row ? row.retryAfterS : undefined;
  }

  get body(): Problem {
    return {
      type: `urn:meshlift:problem:${this.problemType}`,
      title: STATUS_CODES[this.status] ?? 'Problem',
      status: this.status,
      detail: this.message,
      ...(this.extras.errors === undefined ? {} : { errors: this.extras.errors }),
      ...(this.extras.conditions === undefined ? {} : { conditions: this.extras.conditions }),
    };
  }
}

export function problem(type: ProblemType, extras: Extras & { cause?: unknown } = {}): ProblemError {
  return new ProblemError(type, extras);
}

/** What any error means for the caller; one that nobody foresaw is `internal`, and its cause the log's. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  return problemOfTemporal(error) ?? problem('internal', { cause: error });
}

/** What an error of the Temporal client means for the caller; undefined where it is none of its errors. */
export function problemOfTemporal(error: unknown): ProblemError | undefined {
  if (error instanceof WorkflowUpdateFailedError || error instanceof WorkflowFailedError)
    return problemOfFailure(error);
  // A worker that is stopping, or of another version, answers a query with its refusal: the next one knows it.
  if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError || error instanceof QueryNotRegisteredError)
    return problem('no-worker', { cause: error });
  if (error instanceof NamespaceNotFoundError) return problem('namespace-unprepared', { cause: error });
  const grpc = isGrpcServiceError(error)
    ? error
    : error instanceof Error && isGrpcServiceError(error.cause)
      ? error.cause
      : undefined;
  if (grpc === undefined) return undefined;
  return problem(problemOfGrpcCode[grpc.code] ?? 'temporal-unavailable', { cause: error });
}

function problemOfFailure(error: WorkflowUpdateFailedError | WorkflowFailedError): ProblemError {
  const failure = error.cause;
  if (failure instanceof TimeoutFailure) return problem('plan-timed-out', { cause: error });
  // The API itself ends a plan that no worker takes.
  if (failure instanceof TerminatedFailure) return problem('no-worker', { cause: error });
  const type = failure instanceof ApplicationFailure ? failure.type : undefined;
  // The entity ended between taking the request and answering it; the next one has another.
  if (type === 'AcceptedUpdateCompletedWorkflow') return problem('temporal-unavailable', { cause: error });
  return problemOfRefusal(type, failure?.message, error);
}

/** What a refusal of an entity is called here. */
export function problemOfRefusal(failureType?: string | null, message?: string, cause?: unknown): ProblemError {
  const type = failureType ? refusals[failureType] : undefined;
  if (type === undefined)
    return problem('internal', { cause: cause ?? new Error(`refused with ${failureType}: ${message}`) });
  return problem(type, { detail: message ?? problems[type].detail, cause });
}

/** gRPC status codes as Temporal uses them; any other (a call cut off, an error inside) says only that it did not do its part. */
const problemOfGrpcCode: Readonly<Record<number, ProblemType>> = {
  1: 'no-worker', // CANCELLED: the server's end of a call whose time was over, should it come before the client's own
  3: 'namespace-unprepared', // INVALID_ARGUMENT: a search attribute is not registered; the API's own arguments are checked
  4: 'no-worker', // DEADLINE_EXCEEDED
  5: 'namespace-unprepared', // NOT_FOUND of a namespace; a workflow that is missing has its own error class
  8: 'too-many-requests', // RESOURCE_EXHAUSTED
  9: 'no-worker', // FAILED_PRECONDITION: no poller on the task queue
};
