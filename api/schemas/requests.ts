/** What every call takes beside its body: path, query and headers. Queries are text: `true` and `50` are read, `yes` is refused. */
import Type from 'typebox';

import { closed, DnsLabel, DnsSubdomain } from './common.ts';
import { MachinePhase } from './machine.ts';

export const MachineParams = Type.Object({ namespace: DnsLabel, name: DnsLabel }, closed);

export const OperationParams = Type.Object({ id: Type.String({ pattern: '^[A-Za-z0-9-]+$', maxLength: 255 }) }, closed);

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[!-~]{1,255}$',
      description:
        'Same key and body: same answer, nothing done twice. Same key, other body: 422. Kept for 24 hours, also when the machine has left',
    }),
  ),
});

const page = {
  pageSize: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 500, description: 'Default 100; a page may hold fewer' }),
  ),
  pageToken: Type.Optional(
    Type.String({ minLength: 1, maxLength: 4096, description: 'nextPageToken of the page before' }),
  ),
};

export const OnboardQuery = Type.Object(
  { validateOnly: Type.Optional(Type.Boolean({ description: 'true: answer with the Plan, touch nothing' })) },
  closed,
);

/** For calls that take no query: an unknown one, e.g. validateOnly where it is not there, must not be ignored. */
export const NoQuery = Type.Object({}, closed);

export const MachineListQuery = Type.Object(
  {
    namespace: Type.Optional(DnsLabel),
    phase: Type.Optional(MachinePhase),
    workloadGroup: Type.Optional(DnsSubdomain),
    outdated: Type.Optional(Type.Boolean()),
    ...page,
  },
  closed,
);
export type MachineListQuery = Type.Static<typeof MachineListQuery>;

export const OperationListQuery = Type.Object({ namespace: Type.Optional(DnsLabel), ...page }, closed);
export type OperationListQuery = Type.Static<typeof OperationListQuery>;
