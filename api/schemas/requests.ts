/** What every call takes beside its body: path, query and headers. Queries are text: `true` and `50` are read, `yes` is refused. */
import Type from 'typebox';

import { closed, DnsLabel, DnsSubdomain } from './common.ts';
import { MachinePhase } from './machine.ts';

export const MachineParams = Type.Object({ namespace: DnsLabel, name: DnsLabel }, closed);

export const OperationParams = Type.Object(
  { id: Type.String({ pattern: '^[A-Za-z0-9.-]+$', maxLength: 255 }) },
  closed,
);

const keyHeader = (keptFor: string) =>
  Type.Object({
    'idempotency-key': Type.Optional(
      Type.String({
        pattern: '^[!-~]{1,255}$',
        description: `Same key and body: same answer, nothing done twice. Same key, other body: 422. ${keptFor}`,
      }),
    ),
  });

export const IdempotencyHeaders = keyHeader('Kept for 24 hours, also when the machine has left');
/** Of what is said to an operation. */
export const ControlHeaders = keyHeader('Kept for as long as the operation runs');

export const LastEventHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      pattern: '^[0-9]{1,15}$',
      description: 'Id of the last event that was seen; only what is newer is sent',
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

const validateOnly = Type.Optional(Type.Boolean({ description: 'true: answer with the Plan, touch nothing' }));

/** For calls that start an operation. */
export const VerbQuery = Type.Object({ validateOnly }, closed);

export const OffboardQuery = Type.Object(
  {
    validateOnly,
    force: Type.Optional(
      Type.Boolean({
        description:
          'true: take away the cluster side alone, of a machine that does not answer any more; what is on it stays there',
      }),
    ),
  },
  closed,
);

export const IfMatchHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      pattern: '^(\\*|"[0-9]{1,15}")$',
      description: 'The ETag of the machine that the change was made for: 412 where it has changed since. Absent: any',
    }),
  ),
});

/** For calls that take no query: an unknown one must not be ignored. */
export const NoQuery = Type.Object({}, closed);

export const RunQuery = Type.Object(
  {
    run: Type.Optional(
      Type.String({
        format: 'uuid',
        description: 'A run before the latest one, by its field run; only migrations have several of one id',
      }),
    ),
  },
  closed,
);

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

export const MigrationListQuery = Type.Object({ namespace: Type.Optional(DnsLabel), ...page }, closed);

export const OperationListQuery = Type.Object({ namespace: Type.Optional(DnsLabel), ...page }, closed);
export type OperationListQuery = Type.Static<typeof OperationListQuery>;
