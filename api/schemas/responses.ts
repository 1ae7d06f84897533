/** Every answer of a call has a schema: its own, and one problem per status it can end with. */
import { STATUS_CODES } from 'node:http';

import Type from 'typebox';
import type { TSchema } from 'typebox';

import { Problem } from './common.ts';

/** Headers that are too large, and a fault inside. */
const ALWAYS = [431, 500] as const;

type Answers = Readonly<Record<number, TSchema | typeof Events>>;

/** Adds the problem body for each of these statuses, and for those that any call can end with, to a route's answers. */
export function withProblems<const Own extends Answers, const Status extends number>(
  own: Own,
  statuses: readonly Status[],
) {
  const problems = [...statuses, ...ALWAYS].map((status) => [
    status,
    { description: STATUS_CODES[status] ?? 'Problem', content: { 'application/problem+json': { schema: Problem } } },
  ]);
  return {
    ...own,
    ...(Object.fromEntries(problems) as Record<
      Status | (typeof ALWAYS)[number],
      { content: { 'application/problem+json': { schema: typeof Problem } } }
    >),
  };
}

/** Body of the probes. */
export const Health = Type.Object(
  { status: Type.Literal('ok') },
  { additionalProperties: false, $id: 'Health', description: 'All is well' },
);

/** One event of a stream. */
const OperationEvent = Type.Object(
  {
    id: Type.Optional(Type.String({ description: 'The revision of the operation; absent before it has started' })),
    event: Type.Union([Type.Literal('operation'), Type.Literal('problem')]),
    data: Type.String({ description: 'The Operation, or the Problem that ends the stream, as JSON' }),
  },
  { $id: 'OperationEvent' },
);

/** Body of a stream of events. */
export const Events = {
  description: 'A stream of events',
  content: { 'text/event-stream': { schema: OperationEvent } },
} as const;

/** Tells a client of events not to come back. */
export const NothingMore = Type.Null({ description: 'The operation has ended, and the caller has seen its end' });

/** Answer to a cancel; `Location` names the operation that is being undone. */
export const CancelAccepted = Type.Object(
  { id: Type.String() },
  { additionalProperties: false, $id: 'CancelAccepted', description: 'The operation stops and undoes what it did' },
);
