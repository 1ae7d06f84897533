/** `POST /v1/machines/{namespace}/{name}/<verb>`: one verb on a machine that is in the mesh. */
import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox';
import type { TSchema } from 'typebox';

import type { Operate } from '../../workflows/messages.ts';
import { operateMachine } from '../machine-calls.ts';
import { planVerb } from '../plan-call.ts';
import { Plan } from '../schemas/machine.ts';
import { DrainMachine, EnforceMachine, RestartProxy, UndrainMachine } from '../schemas/verbs.ts';
import { Operation } from '../schemas/operation.ts';
import { IdempotencyHeaders, MachineParams, VerbQuery } from '../schemas/requests.ts';
import { withProblems } from '../schemas/responses.ts';
import type { Temporal } from '../temporal.ts';

interface VerbRoute {
  readonly verb: Operate['verb'];
  readonly operationId: string;
  readonly body: TSchema;
  readonly summary: string;
  readonly description: string;
}

const verbs: readonly VerbRoute[] = [
  {
    verb: 'enforce',
    operationId: 'enforceMachine',
    body: EnforceMachine,
    summary: "Hold a machine's isolation against everybody, or back to observing",
    description:
      'With mode enforce, callers from outside the mesh are refused from then on; while there are any, so is the operation, ' +
      'unless allowPlaintextCallers says otherwise. With mode observe, back. Neither restarts anything.',
  },
  {
    verb: 'drain',
    operationId: 'drainMachine',
    body: DrainMachine,
    summary: 'Take a machine out of load balancing, and keep it out until it is undrained',
    description:
      'Waits until every client has let go of it and its requests have ended. No Service falls below its floor, unless ' +
      'allowDisruption says otherwise.',
  },
  {
    verb: 'undrain',
    operationId: 'undrainMachine',
    body: UndrainMachine,
    summary: 'Put a drained machine back into load balancing, on evidence that it serves',
    description: 'The body is an empty object. A machine that is not ready stays out, and the operation says why.',
  },
  {
    verb: 'restart-proxy',
    operationId: 'restartProxy',
    body: RestartProxy,
    summary: "Restart a machine's proxy behind a drain",
    description:
      'Drain, restart, and the way back on evidence; a machine whose proxy does not come back stays drained.',
  },
];

export const machineVerbRoutes: FastifyPluginCallbackTypebox<{ temporal: Temporal }> = (app, { temporal }, done) => {
  for (const { verb, operationId, body, summary, description } of verbs) {
    app.post(
      `/v1/machines/:namespace/:name/${verb}`,
      {
        schema: {
          tags: ['machines'],
          operationId,
          summary: `${summary}; with validateOnly show what that would do`,
          description,
          params: MachineParams,
          querystring: VerbQuery,
          headers: IdempotencyHeaders,
          body,
          response: withProblems({ 200: Plan, 202: Operation }, [400, 404, 409, 413, 415, 422, 429, 503, 504]),
        },
      },
      async (request, reply) => {
        // The schema of this verb has checked the body.
        const operate = { verb, body: request.body } as Operate;
        if (request.query.validateOnly === true)
          return reply.code(200).send(await planVerb(temporal, request.params, operate));
        const operation = await operateMachine(temporal, request.params, operate, request.headers['idempotency-key']);
        return reply.code(202).header('location', `/v1/operations/${operation.id}`).send(operation);
      },
    );
  }

  done();
};
