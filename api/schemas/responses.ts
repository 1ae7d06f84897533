/** Every answer of a call has a schema: its own, and one problem per status it can end with. */
import { STATUS_CODES } from 'node:http';

import Type from 'typebox';
import type { TSchema } from 'typebox';

import { Problem } from './common.ts';

type Answers = Readonly<Record<number, TSchema>>;

/** Adds the problem body for each of these statuses, and for 500, to a route's answers. */
export function withProblems<const Own extends Answers, const Status extends number>(
  own: Own,
  statuses: readonly Status[],
) {
  const problems = [...statuses, 500].map((status) => [
    status,
    { description: STATUS_CODES[status] ?? 'Problem', content: { 'application/problem+json': { schema: Problem } } },
  ]);
  return {
    ...own,
    ...(Object.fromEntries(problems) as Record<
      Status | 500,
      { content: { 'application/problem+json': { schema: typeof Problem } } }
    >),
  };
}

/** Body of the probes. */
export const Health = Type.Object(
  { status: Type.Literal('ok') },
  { additionalProperties: false, $id: 'Health', description: 'All is well' },
);

/** Answer to a cancel; `Location` names the operation that is being undone. */
export const CancelAccepted = Type.Object(
  { id: Type.String() },
  { additionalProperties: false, $id: 'CancelAccepted', description: 'The operation stops and undoes what it did' },
);
