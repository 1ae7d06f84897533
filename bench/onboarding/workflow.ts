/**
 * The part of an onboarding that a bare sshd can show: the product's own plan, steps and activities from the first file to the
 * token. What comes before (reading the facts) runs as well where it is asked for; what comes after needs systemd and a mesh.
 */
import { readHost, defaultWaits } from '../../workflows/activity-proxies.ts';
import { Compensations } from '../../workflows/compensation.ts';
import { OnboardingChanges } from '../../workflows/onboarding-changes.ts';
import { OperationReport } from '../../workflows/operation.ts';
import { planBootstrap } from '../../workflows/plan/bootstrap-plan.ts';
import { inspectedPaths } from '../../workflows/plan/inspected-paths.ts';
import type { DecidableInput } from '../../workflows/plan/plan-input.ts';

const FILE_STEPS = ['writeBootstrapFiles'];

export interface OnboardFilesInput {
  readonly input: DecidableInput;
  /** Whether the machine is read first, as an onboarding does. */
  readonly readsFacts: boolean;
}

export async function onboardFiles({ input, readsFacts }: OnboardFilesInput): Promise<void> {
  const { namespace, name, host } = input.request;
  const report = new OperationReport('onboard', { namespace, name }, FILE_STEPS);
  if (readsFacts) {
    await readHost(`Inspect ${name}`, defaultWaits.readableMs).inspectMachine({
      ...{ namespace, name, host, paths: inspectedPaths },
    });
  }
  const changes = new OnboardingChanges(report, input, 1, defaultWaits, new Compensations());
  for (const change of planBootstrap(input)) {
    if (FILE_STEPS.includes(change.step)) await changes.make(change);
  }
}
