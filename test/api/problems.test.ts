import { describe, expect, test } from '@jest/globals';
import {
  QueryNotRegisteredError,
  ServiceError,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure, NamespaceNotFoundError, TerminatedFailure, TimeoutFailure } from '@temporalio/common';

import { problemOfRefusal, problemOfTemporal } from '../../api/problems.ts';

/** As the client wraps what gRPC says. */
const grpc = (code: number): Error =>
  new ServiceError('Failed to query Workflow', {
    cause: Object.assign(new Error(`${code}`), { code, details: 'of the server', metadata: {} }),
  });
const refused = (type: string): Error =>
  new WorkflowUpdateFailedError('Workflow Update failed', ApplicationFailure.nonRetryable('shop/orders-1 is so', type));
const ended = (cause: Error): Error => new WorkflowFailedError('Workflow execution failed', cause, 'IN_PROGRESS');

describe('a call to Temporal that ends with', () => {
  test.each([
    ['gRPC code 1, its time over by the clock of the server', grpc(1), 'no-worker', 503],
    ['gRPC code 2', grpc(2), 'temporal-unavailable', 503],
    ['gRPC code 4', grpc(4), 'no-worker', 503],
    ['gRPC code 5', grpc(5), 'namespace-unprepared', 503],
    ['gRPC code 7', grpc(7), 'temporal-unavailable', 503],
    ['gRPC code 8', grpc(8), 'too-many-requests', 429],
    ['gRPC code 9', grpc(9), 'no-worker', 503],
    ['gRPC code 10', grpc(10), 'temporal-unavailable', 503],
    ['gRPC code 13', grpc(13), 'temporal-unavailable', 503],
    ['gRPC code 14', grpc(14), 'temporal-unavailable', 503],
    ['gRPC code 16', grpc(16), 'temporal-unavailable', 503],
    ['an update that nobody took', new WorkflowUpdateRPCTimeoutOrCancelledError('over'), 'no-worker', 503],
    [
      'a query that a stopping worker refuses',
      Reflect.construct(QueryNotRegisteredError, ['unknown', 3]) as Error,
      'no-worker',
      503,
    ],
    ['a namespace that is not there', new NamespaceNotFoundError('meshlift'), 'namespace-unprepared', 503],
    ['a plan that was ended unheard', ended(new TerminatedFailure('no worker')), 'no-worker', 503],
    ['a plan that timed out', ended(new TimeoutFailure('late', undefined, 'START_TO_CLOSE')), 'plan-timed-out', 504],
    ['an entity that ended meanwhile', refused('AcceptedUpdateCompletedWorkflow'), 'temporal-unavailable', 503],
    ['a refusal', refused('MachineExists'), 'machine-exists', 409],
    ['a refusal of a version', refused('VersionDiffers'), 'version-differs', 412],
    ['a refusal that is no known one', refused('Surprise'), 'internal', 500],
  ] as const)('%s is the problem it is', (_what, error, type, status) => {
    expect(problemOfTemporal(error)).toMatchObject({ problemType: type, status });
  });

  test('something else is none of its problems', () => {
    expect(problemOfTemporal(new Error('a bug'))).toBeUndefined();
  });
});

test('a refusal is told in the words of the machine; what is wrong inside is not', () => {
  expect(problemOfRefusal('MachineNotInMesh', 'shop/orders-1 is Failed').body).toMatchObject({
    type: 'urn:meshlift:problem:machine-not-in-mesh',
    status: 409,
    detail: 'shop/orders-1 is Failed',
  });
  expect(problemOfRefusal('Surprise', 'words of a bug').body.detail).not.toContain('words of a bug');
  expect(JSON.stringify(problemOfTemporal(grpc(13))?.body)).not.toContain('of the server');
});
