/** What the API adds to a verb before a machine's entity sees it: the operation's id, and the digest of what was asked. */
import { createHash } from 'node:crypto';

import { ulid } from 'ulid';

import type { OperationRequest } from '../workflows/messages.ts';
import type { ControlAction, ControlRequest } from '../workflows/plan/cutover-state.ts';
import type { Approval } from './schemas/migration.ts';
import type { Operation } from './schemas/operation.ts';

interface Asked {
  readonly verb: Operation['verb'];
  readonly namespace: string;
  readonly name: string;
  readonly body: unknown;
  readonly idempotencyKey: string | undefined;
}

export function operationRequest({ verb, namespace, name, body, idempotencyKey }: Asked): OperationRequest {
  return {
    operationId: `${verb}-${namespace}-${name}-${ulid()}`,
    bodyDigest: digestOf({ verb, namespace, name, body }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}

interface Said {
  readonly action: ControlAction;
  readonly body: Approval;
  /** As the cluster knows them; undefined where nobody was asked. */
  readonly by: string | undefined;
  readonly idempotencyKey: string | undefined;
}

/** What a person says to an operation, as its workflow hears it. */
export function controlRequest({ action, body, by = 'a caller', idempotencyKey }: Said): ControlRequest {
  const { reason, weight } = body;
  return {
    ...{ action, by, bodyDigest: digestOf({ action, body }) },
    ...(reason === undefined ? {} : { why: reason }),
    ...(weight === undefined ? {} : { weight }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}

const digestOf = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex');

/** JSON with sorted keys: two bodies that say the same have the same digest. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
