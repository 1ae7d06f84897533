/** Answers `validateOnly`: reads both sides, decides, and says everything an onboarding would find and do. Touches nothing. */
import type { Plan } from '../api/schemas/machine.ts';
import { defaultWaits } from './activity-proxies.ts';
import type { PlanMachineInput } from './messages.ts';
import { now } from './operation.ts';
import { describePlan } from './plan/describe-plan.ts';
import { readFacts } from './read-facts.ts';

export async function planMachine({ body, waits }: PlanMachineInput): Promise<Plan> {
  const { input } = await readFacts(body, false, { ...defaultWaits, ...waits });
  return describePlan(input, now());
}
