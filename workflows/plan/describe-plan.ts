/** A planned onboarding as the API shows it: conditions, files, objects and steps at once, secrets masked. */
import type { Plan } from '../../api/schemas/machine.ts';
import { describeChanges, planBootstrap } from './bootstrap-plan.ts';
import { conditionsOf } from './conditions.ts';
import { isDecidable } from './plan-input.ts';
import type { PlanInput } from './plan-input.ts';

export function describePlan(input: PlanInput, now: string): Plan {
  const conditions = conditionsOf(input, now);
  if (!isDecidable(input)) return { conditions, files: [], objects: [], steps: [] };
  const { request, rendered } = input;
  const { token, files, objects, hostsLines } = rendered;
  return {
    conditions,
    files: [
      ...files.map(({ path, mode, sha256, content }) => ({ path, mode, sha256, content })),
      { path: token.path, mode: token.mode, content: '(a token made when it is written)' },
      ...(hostsLines.length > 0
        ? [{ path: '/etc/hosts', mode: '0644', content: hostsLines.map((line) => `${line}\n`).join('') }]
        : []),
    ],
    objects: objects.map((object) => ({ ...object })),
    steps: describeChanges(planBootstrap(input), `${request.namespace}/${request.name}`),
  };
}
