/** An error of Temporal's client, without a server that would give it. */
import { ServiceError } from '@temporalio/client';

/** As the client wraps what gRPC says. */
export const grpcError = (code: number): Error =>
  new ServiceError('Failed to query Workflow', {
    cause: Object.assign(new Error(`${code}`), { code, details: 'of the server', metadata: {} }),
  });
