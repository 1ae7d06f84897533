import { describe, expect, test } from '@jest/globals';
import {
  QueryNotRegisteredError,
  WorkflowFailedError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure, NamespaceNotFoundError, TerminatedFailure, TimeoutFailure } from '@temporalio/common';

import { problemOfRefusal, problemOfTemporal } from '../../api/problems.ts';
import { grpcError } from '../support/grpc-error.ts';

const refused = (type: string): Error =>
  new WorkflowUpdateFailedError('Workflow Update failed', ApplicationFailure.nonRetryable('shop/orders-1 is so', type));
const ended = (cause: Error): Error => new WorkflowFailedError('Workflow execution failed', cause, 'IN_PROGRESS');

describe('a call to Temporal that ends with', () => {
  test.each([
    ['gRPC code 1, its time over by the clock of the server', grpcError(1), 'no-worker', 503],
    ['gRPC code 2', grpcError(2), 'temporal-unavailable', 503],
    ['gRPC code 4', grpcError(4), 'no-worker', 503],
    ['gRPC code 5', grpcError(5), 'namespace-unprepared', 503],
    ['gRPC code 7', grpcError(7), 'temporal-unavailable', 503],
    ['gRPC code 8', grpcError(8), 'too-many-requests', 429],
    ['gRPC code 9', grpcError(9), 'no-worker', 503],
    ['gRPC code 10', grpcError(10), 'temporal-unavailable', 503],
    ['gRPC code 13', grpcError(13), 'temporal-unavailable', 503],
    ['gRPC code 14', grpcError(14), 'temporal-unavailable', 503],
    ['gRPC code 16', grpcError(16), 'temporal-unavailable', 503],
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
  expect(JSON.stringify(problemOfTemporal(grpcError(13))?.body)).not.toContain('of the server');
});
