/** The policy of an onboarding: an ordered list of named checks, all of them run, every finding reported at once. */
import type { Condition } from '../../api/schemas/common.ts';
import { clusterChecks } from './cluster-checks.ts';
import { hostChecks } from './host-checks.ts';
import { machineChecks } from './machine-checks.ts';
import { networkChecks } from './network-checks.ts';
import type { PlanInput } from './plan-input.ts';
import { policyChecks } from './policy-checks.ts';
import { readChecks } from './read-checks.ts';
import { trafficChecks } from './traffic-checks.ts';
import type { Check } from './verdicts.ts';

const policy: readonly Check[] = [
  ...readChecks,
  ...hostChecks,
  ...machineChecks,
  ...networkChecks,
  ...trafficChecks,
  ...clusterChecks,
  ...policyChecks,
];

/** Every condition of a planned onboarding, in the policy's order. */
export function conditionsOf(input: PlanInput, now: string): Condition[] {
  return policy.flatMap((check) => {
    const verdict = check(input);
    return verdict ? [{ ...verdict, lastTransitionTime: now }] : [];
  });
}

/** Those that end an operation before its first write. */
export function blocking(conditions: readonly Condition[]): Condition[] {
  return conditions.filter(({ category, status }) => category === 'Critical' && status !== 'True');
}

/** The findings; a condition that keeps its status keeps the time of its transition. */
export function keepTransitions(known: readonly Condition[], found: readonly Condition[]): Condition[] {
  return found.map((condition) => {
    const before = known.find(({ type, status }) => type === condition.type && status === condition.status);
    return before ? { ...condition, lastTransitionTime: before.lastTransitionTime } : condition;
  });
}
