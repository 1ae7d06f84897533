/** What the API adds to a verb before a machine's entity sees it: the operation's id, and the digest of what was asked. */
import { createHash } from 'node:crypto';

import { ulid } from 'ulid';

import type { OperationRequest } from '../workflows/messages.ts';
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
    bodyDigest: createHash('sha256').update(canonicalJson({ verb, namespace, name, body })).digest('hex'),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}

/** JSON with sorted keys: two bodies that say the same have the same digest. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
