/** What a change of a machine's isolation changes, one method per side: each registers its undo, then does its work. */
import { ApplicationFailure, sleep } from '@temporalio/workflow';

import type { HostStep } from '../activities/host.ts';
import { changeCluster, changeHost, readHost } from './activity-proxies.ts';
import type { Compensations } from './compensation.ts';
import { lookAgain } from './look-again.ts';
import type { Waits } from './messages.ts';
import type { OperationReport } from './operation.ts';
import { policyMissing } from './plan/enforce-plan.ts';
import type { EnforceChange } from './plan/enforce-plan.ts';
import type { ExposureInput } from './plan/exposure.ts';
import { inspectedPaths } from './plan/inspected-paths.ts';
import { refOf } from './plan/ownership.ts';

/** What one look takes at the least, also when the time is over. */
const LAST_LOOK_MS = 3_000;

export class EnforcingChanges {
  private readonly report: OperationReport;
  private readonly input: ExposureInput;
  private readonly waits: Required<Waits>;
  private readonly undo: Compensations;
  private readonly machine: string;
  private readonly on: HostStep;

  constructor(
    report: OperationReport,
    input: ExposureInput,
    fence: number,
    waits: Required<Waits>,
    undo: Compensations,
  ) {
    const { namespace, name, host } = input.request;
    this.report = report;
    this.input = input;
    this.waits = waits;
    this.undo = undo;
    this.machine = `${namespace}/${name}`;
    this.on = { namespace, name, host, operation: report.current().id, fence };
  }

  async make(change: EnforceChange): Promise<void> {
    switch (change.step) {
      case 'applyPolicies':
        return this.applyPolicies(change);
      case 'setEnforcement':
        return this.setEnforcement(change);
      case 'confirmEnforcement':
        return this.onHost(change.step, `${this.machine} to answer over a new connection`, (summary) =>
          changeHost(summary, this.waits.changeMs).confirmCapture(this.on),
        );
    }
  }

  private async applyPolicies({ step, apply, remove, before }: Extract<EnforceChange, { step: 'applyPolicies' }>) {
    const { machine, waits } = this;
    this.undo.register([step], `policies of ${machine}, as they are asked for now`, async () => {
      const cluster = changeCluster(`Put the policies of ${machine} back`, waits.undoMs);
      await cluster.applyObjects({ objects: before });
      const created = apply.filter(({ kind }) => !before.some((found) => found.kind === kind));
      await cluster.removeObjects({ objects: created.map(refOf) });
    });
    return this.report.step(step, `the Kubernetes API to take the policies of ${machine}`, async () => {
      const cluster = changeCluster(`Apply the policies of ${machine}`, waits.changeMs);
      await cluster.applyObjects({ objects: apply });
      await cluster.removeObjects({ objects: remove });
      return { end: 'Succeeded', value: undefined };
    });
  }

  private async setEnforcement(change: Extract<EnforceChange, { step: 'setEnforcement' }>): Promise<void> {
    const { machine, waits, on } = this;
    const { step, mode, excludePorts, before } = change;
    this.undo.register([step, 'confirmEnforcement'], `/var/lib/meshlift/enforce on ${machine}`, () =>
      changeHost(`Put the isolation of ${machine} back`, waits.undoMs).setEnforcement({ ...on, ...before }),
    );
    return this.onHost(step, `${machine} to redirect its traffic anew`, (summary) =>
      changeHost(summary, waits.changeMs).setEnforcement({
        ...on,
        mode,
        excludePorts,
        deadManSeconds: waits.deadManSeconds,
      }),
    );
  }

  private async onHost(
    step: string,
    waitingFor: string,
    change: (summary: string) => Promise<{ readonly changed: readonly string[] }>,
  ): Promise<void> {
    return this.report.step(step, waitingFor, async () => {
      const { changed } = await change(`Wait for ${waitingFor}`);
      return { end: changed.length > 0 ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }

  /** Evidence from the machine itself: flag, redirection, and what the proxy's own listeners do. */
  async verifyPolicy(isNoOp: boolean): Promise<void> {
    const { machine, waits } = this;
    const what = `the listeners of ${machine} to do what ${this.input.asked.mode} says`;
    return this.report.step('verifyPolicy', what, async () => {
      await lookAgain(waits.connectedMs, () => this.untilInForce(`Wait for ${what}`));
      return { end: isNoOp ? 'Unchanged' : 'Succeeded', value: undefined };
    });
  }

  private async untilInForce(summary: string): Promise<void> {
    const { machine, waits, input } = this;
    const { namespace, name, host } = input.request;
    const { mode } = input.asked;
    const deadline = Date.now() + waits.connectedMs;
    for (;;) {
      const leftMs = Math.max(deadline - Date.now(), LAST_LOOK_MS);
      const seen = await readHost(summary, leftMs).inspectMachine({
        namespace,
        name,
        host,
        paths: inspectedPaths,
        probes: { policy: true },
      });
      const missing =
        seen.isEnforced !== (mode === 'enforce')
          ? 'has another flag /var/lib/meshlift/enforce than asked for'
          : !seen.isCaptured
            ? 'does not capture its traffic'
            : policyMissing(mode, seen, `${namespace}/meshlift-${name}`);
      if (missing === undefined) return;
      if (Date.now() >= deadline) {
        const message = `${machine} ${missing} after ${waits.connectedMs / 1000} s; see istioctl proxy-status and /var/log/istio/istio.log there`;
        throw ApplicationFailure.nonRetryable(message, 'PolicyNotInForce');
      }
      await sleep('1s', { summary: `Before the next look at ${machine}` });
      this.report.tryAgain('verifyPolicy');
    }
  }
}
