/**
 * `meshlift check`: what `validateOnly` answers, from a laptop with a kubeconfig and an SSH key alone. The gather and the plan are
 * those of the workflows; only who reads is another. Changes nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Condition } from '../api/schemas/common.ts';
import type { Host, Plan } from '../api/schemas/machine.ts';
import { createPorts } from '../worker/ports.ts';
import { type FactReads, gatherFacts } from '../workflows/gather-facts.ts';
import { describePlan } from '../workflows/plan/describe-plan.ts';
import { type CheckOptions, readOptions, usage } from './options.ts';
import { ownReads } from './reads.ts';
import { markOf, renderReport } from './report.ts';

/** Prints what it finds; answers the exit status. */
export async function runCheck(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(usage);
    return 0;
  }
  const read = readOptions(args, env);
  if ('faults' in read) {
    process.stderr.write(`${read.faults.map((fault) => `meshlift check: ${fault}\n`).join('')}\n${usage}`);
    return 2;
  }
  const { options } = read;
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-check-'));
  try {
    const { plan, machine } = await check(options, scratch);
    process.stdout.write(options.isJson ? `${JSON.stringify(plan, null, 2)}\n` : renderReport(plan, machine));
    return plan.conditions.some((condition) => markOf(condition) === 'STOP') ? 1 : 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function check(options: CheckOptions, cacheDirectory: string): Promise<{ plan: Plan; machine: string }> {
  const { istioNamespace, packages = '', credential } = options;
  const config = {
    istioNamespace,
    meshliftNamespace: 'meshlift-system',
    packages: { source: packages, cacheDirectory },
  };
  const ports = createPorts(config, () => Promise.resolve(credential));
  const { reads, hasJudgedHost } = ownReads(ports, options);
  const name = options.request.name === '' ? await ownName(reads, options.request.host) : options.request.name;
  const request = { ...options.request, name };
  const { input } = await gatherFacts(reads, request, false);
  const plan = describePlan(input, new Date().toISOString());
  const conditions = hasJudgedHost() ? plan.conditions : plan.conditions.map(withoutJudgement);
  return { plan: { ...plan, conditions }, machine: `${request.namespace}/${name}` };
}

/** As the machine calls itself; where it does not answer, the conditions say so, and any name does. */
async function ownName(reads: FactReads, host: Host): Promise<string> {
  const { value } = await reads.machine(host, {});
  return value?.hostname ?? host.address.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
}

function withoutJudgement(found: Condition): Condition {
  if (found.type !== 'HostAllowed') return found;
  const message =
    'This kubeconfig may not read HostPolicies; Meshlift itself judges whether the namespace may use the host';
  return { ...found, status: 'Unknown', category: 'Advisory', reason: 'HostPoliciesUnread', message };
}
