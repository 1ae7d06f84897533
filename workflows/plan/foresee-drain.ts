/** What a drain is expected to meet, as conditions of its plan: the lease, and the gap of a Service that loses its last endpoint. */
import type { Condition } from '../../api/schemas/common.ts';
import type { DrainTerms } from './drain-terms.ts';
import { predictedGap } from './drain-terms.ts';
import type { LeaseVerdict } from './floors.ts';
import type { FactFailure } from './plan-input.ts';
import { fails, holds, unknown } from './verdicts.ts';
import type { Verdict } from './verdicts.ts';

/** `verdict` leaves out the leases that others hold at the moment: the operation waits for those. */
export function foreseeDrain(
  verdict: LeaseVerdict | FactFailure,
  terms: DrainTerms,
  machine: string,
  now: string,
): Condition[] {
  return [{ ...judge(verdict, terms, machine), lastTransitionTime: now }];
}

function judge(verdict: LeaseVerdict | FactFailure, terms: DrainTerms, machine: string): Verdict {
  const type = 'FloorKept';
  if ('type' in verdict) {
    const message = `Nobody can tell which Services ${machine} leaves with too few endpoints: ${verdict.message}`;
    return unknown(type, 'EvidenceUnavailable', message, terms.allowUnproven ? 'Warning' : 'Critical');
  }
  const { least, most } = predictedGap(terms);
  const gap = `for about ${least} to ${most} s`;
  switch (verdict.kind) {
    case 'Granted':
      if (verdict.disrupts.length === 0) return holds(type, `Every Service of ${machine} keeps its floor`);
      return fails(
        type,
        'Disruption',
        `${verdict.disrupts.join(', ')} falls below its floor ${gap}, as is allowed`,
        'Warning',
      );
    case 'Held':
      return fails(type, 'Held', `${verdict.message}; the operation waits for it`, 'Warning');
    case 'SoleEndpoint':
      return fails(type, 'SoleEndpoint', `${verdict.message}; it is then without one ${gap}`);
  }
}
