/** How checks phrase what they find. */
import type { Verdict } from './conditions.ts';

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
