/** What a check is, and how checks phrase what they find. */
import type { Condition } from '../../api/schemas/common.ts';
import type { PlanInput } from './plan-input.ts';

/** What a check says; undefined where it cannot be judged because something before it could not be read. */
export type Verdict = Omit<Condition, 'lastTransitionTime'>;
export type Check = (input: PlanInput) => Verdict | undefined;

type Category = Verdict['category'];

/** The claim holds. */
export function holds(type: string, message: string, category: Category = 'Critical'): Verdict {
  return { type, status: 'True', category, reason: type, message };
}

/** The claim does not hold; `message` says what, on which object, and what to do. */
export function fails(type: string, reason: string, message: string, category: Category = 'Critical'): Verdict {
  return { type, status: 'False', category, reason, message };
}

/** Nobody could say. */
export function unknown(type: string, reason: string, message: string, category: Category = 'Critical'): Verdict {
  return { type, status: 'Unknown', category, reason, message };
}

/** More than these are counted, not named. */
const MOST_NAMED = 8;

/** Values for a message: the first of them by name. */
export function listed(values: readonly string[]): string {
  const rest = values.length - MOST_NAMED;
  return rest > 0 ? `${values.slice(0, MOST_NAMED).join(', ')} and ${rest} more` : values.join(', ');
}
