/** `POST /v1/operations/{id}/<action>`: what a person says to an operation that waits or goes on in steps. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';

import type { ControlAction } from '../../workflows/plan/cutover-state.ts';
import { controlOperation } from '../operation-calls.ts';
import { controlRequest } from '../operation-request.ts';
import { Approval, Decision } from '../schemas/migration.ts';
import { Operation } from '../schemas/operation.ts';
import { ControlHeaders, NoQuery, OperationParams } from '../schemas/requests.ts';
import { withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';

const actions: readonly { readonly action: ControlAction; readonly summary: string }[] = [
  { action: 'approve', summary: 'Let the step that waits for it go on' },
  { action: 'pause', summary: 'Stay at the weight that is; the guard stays in force' },
  { action: 'resume', summary: 'Go on' },
  { action: 'rollback', summary: 'Return all traffic to the machines, and leave everything as it was' },
  { action: 'finalize', summary: 'Let the machines leave: from then on there is no way back' },
];

export const operationControlRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (
  app,
  { temporal },
  done,
) => {
  for (const { action, summary } of actions) {
    app.post(
      `/v1/operations/:id/${action}`,
      {
        schema: {
          tags: ['operations'],
          operationId: `${action}Operation`,
          summary,
          description:
            '409 with the reason where it does not apply now. The reason of the body is kept with the operation.',
          params: OperationParams,
          querystring: NoQuery,
          headers: ControlHeaders,
          body: action === 'approve' ? Approval : Decision,
          response: withProblems({ 200: Operation }, [400, 404, 409, 413, 415, 422, 429, 503]),
        },
      },
      ({ params: { id }, body, headers, caller }) =>
        controlOperation(
          temporal,
          id,
          controlRequest({ action, body, by: caller?.username, idempotencyKey: headers['idempotency-key'] }),
        ),
    );
  }

  done();
};
