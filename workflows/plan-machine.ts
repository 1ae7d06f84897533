/** Answers `validateOnly`: reads both sides, decides, and says everything an onboarding would find and do. Touches nothing. */
import { upsertSearchAttributes } from '@temporalio/workflow';

import type { Plan } from '../api/schemas/machine.ts';
import { defaultWaits } from './activity-proxies.ts';
import { searchAttributes } from './messages.ts';
import type { PlanMachineInput } from './messages.ts';
import { now } from './operation.ts';
import { describePlan } from './plan/describe-plan.ts';
import { readFacts } from './read-facts.ts';

/** A caller waits for the answer: an unheard read is given this long, twice. */
const READABLE_MS = 25_000;

export async function planMachine({ body, isMember = false, waits }: PlanMachineInput): Promise<Plan> {
  upsertSearchAttributes([
    { key: searchAttributes.namespace, value: body.namespace },
    { key: searchAttributes.workloadGroup, value: body.workloadGroup },
    { key: searchAttributes.operation, value: 'plan' },
  ]);
  const { input } = await readFacts(body, isMember, { ...defaultWaits, readableMs: READABLE_MS, ...waits });
  return describePlan(input, now());
}
