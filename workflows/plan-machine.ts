/** Answers `validateOnly`: reads both sides, decides, and says everything the verb would find and do. Touches nothing. */
import { isCancellation, TemporalFailure, upsertSearchAttributes } from '@temporalio/workflow';

import type { Plan } from '../api/schemas/machine.ts';
import type { DrainMachine, EnforceMachine } from '../api/schemas/verbs.ts';
import { defaultWaits, readCluster } from './activity-proxies.ts';
import { explainFailure } from './explain-failure.ts';
import { searchAttributes } from './messages.ts';
import type { PlanMachineInput, Waits } from './messages.ts';
import { now } from './operation.ts';
import { describePlan } from './plan/describe-plan.ts';
import { describeForced, describeMove, describeOffboarding } from './plan/describe-verb.ts';
import { describeEnforce, filesOfEnforce, planEnforce } from './plan/enforce-plan.ts';
import { drainTerms } from './plan/drain-terms.ts';
import { decideLease } from './plan/floors.ts';
import { foreseeDrain } from './plan/foresee-drain.ts';
import { exposureConditions } from './plan/exposure.ts';
import { readConditions } from './plan/read-checks.ts';
import { readExposure } from './read-exposure.ts';
import { readBothSides, readClusterSide, readFacts } from './read-facts.ts';

/** A caller waits for the answer: an unheard read is given this long, twice. */
const READABLE_MS = 25_000;

const asFound = { isEnforced: false, isDrained: false };

export async function planMachine(asked: PlanMachineInput): Promise<Plan> {
  const { body, isMember = false, member = asFound, operate } = asked;
  upsertSearchAttributes([
    { key: searchAttributes.namespace, value: body.namespace },
    { key: searchAttributes.workloadGroup, value: body.workloadGroup },
    { key: searchAttributes.operation, value: 'plan' },
  ]);
  const waits = { ...defaultWaits, readableMs: READABLE_MS, ...asked.waits };
  switch (operate?.verb) {
    case undefined:
      return describePlan((await readFacts(body, isMember, waits)).input, now());
    case 'enforce':
      return planEnforcing(body, operate.body, waits);
    case 'offboard': {
      if (operate.force === true) return describeForced(await readClusterSide(body, waits), now());
      const { input } = await readBothSides(body, true, waits);
      return describeOffboarding(input, now());
    }
    case 'drain':
    case 'undrain':
    case 'restart-proxy': {
      const { input } = await readBothSides(body, true, waits);
      const plan = describeMove(operate.verb, member, input, now());
      if (operate.verb === 'undrain' || member.isDrained) return plan;
      return { ...plan, conditions: [...plan.conditions, ...(await foresee(body, operate.body, waits))] };
    }
  }
}

/** Which Service a drain would leave with too few endpoints; leases that others hold now pass. */
async function foresee(
  { namespace, name }: PlanMachineInput['body'],
  asked: DrainMachine,
  { readableMs }: Required<Waits>,
): Promise<Plan['conditions']> {
  const terms = drainTerms(asked);
  const id = `${namespace}/${name}`;
  try {
    const floors = readCluster(`Count what ${name} leaves behind`, readableMs);
    const facts = await floors.readFloorFacts({ namespace, machine: name, operations: [] });
    const request = { operationId: 'plan', machine: name, allowDisruption: terms.allowDisruption };
    return foreseeDrain(decideLease([], request, facts).verdict, terms, id, now());
  } catch (error) {
    if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
    return foreseeDrain(explainFailure(error), terms, id, now());
  }
}

async function planEnforcing(
  body: PlanMachineInput['body'],
  asked: EnforceMachine,
  waits: Required<Waits>,
): Promise<Plan> {
  const { read, input } = await readExposure(body, asked, waits);
  const conditions = [...readConditions(read, now()), ...(input ? exposureConditions(input, now()) : [])];
  if (!input) return { conditions, files: [], objects: [], steps: [] };
  const changes = planEnforce(input);
  return {
    conditions,
    files: filesOfEnforce(changes, input),
    objects: changes.flatMap((change) => (change.step === 'applyPolicies' ? change.apply : [])).map((o) => ({ ...o })),
    steps: describeEnforce(changes, `${body.namespace}/${body.name}`),
  };
}
