/** What an offboarding does, one method a side of the point of no return. */
import { ApplicationFailure } from '@temporalio/workflow';

import type { HostStep } from '../activities/host.ts';
import type { ClusterFacts } from '../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../activities/ports/host-port.ts';
import type { OnboardMachine } from '../api/schemas/machine.ts';
import { changeCluster, changeHost, readCluster } from './activity-proxies.ts';
import type { Compensations } from './compensation.ts';
import { DRAIN_STEPS, Draining } from './draining.ts';
import { lookAgain } from './look-again.ts';
import type { MemberState, Waits } from './messages.ts';
import type { OperationReport } from './operation.ts';
import { registeredAddress } from './plan/evidence.ts';
import { leftovers, planOffboard } from './plan/offboard-plan.ts';
import type { OffboardPlan } from './plan/offboard-plan.ts';
import { readBothSides } from './read-facts.ts';

interface Found {
  readonly cluster: ClusterFacts;
  readonly machine: MachineFacts;
  readonly isPresent: boolean;
  /** The machine is in the mesh, whether or not it takes traffic now. */
  readonly isMember: boolean;
  readonly member: MemberState;
  /** A migration has moved its traffic for good. */
  readonly isReplaced: boolean;
}

/** The steps of one offboarding, in call order. */
export class OffboardingChanges {
  private readonly report: OperationReport;
  private readonly body: OnboardMachine;
  private readonly facts: Found;
  private readonly waits: Required<Waits>;
  private readonly undo: Compensations;
  private readonly id: string;
  private readonly plan: OffboardPlan;
  private readonly entry: { readonly namespace: string; readonly workloadGroup: string; readonly address: string };
  private readonly on: HostStep;
  private readonly draining: Draining;

  constructor(
    report: OperationReport,
    body: OnboardMachine,
    facts: Found,
    fence: number,
    waits: Required<Waits>,
    undo: Compensations,
  ) {
    this.report = report;
    this.body = body;
    this.facts = facts;
    this.waits = waits;
    this.undo = undo;
    this.id = `${body.namespace}/${body.name}`;
    this.plan = planOffboard(body.name, facts.cluster, facts.machine);
    this.entry = {
      namespace: body.namespace,
      workloadGroup: body.workloadGroup,
      address: registeredAddress(body, facts.machine),
    };
    const { namespace, name, host } = body;
    this.on = { namespace, name, host, operation: report.current().id, fence };
    const { address } = this.entry;
    const target = { body, address, member: facts.member, fence };
    // Who asks for a machine to leave asks for what its Services lose by it; proof is owed all the same.
    const terms = {
      ...{ allowDisruption: true, allowUnproven: false, deadlineMs: waits.notGivenOutMs },
      isReplaced: facts.isReplaced,
    };
    this.draining = new Draining(report, target, terms, waits, undo);
  }

  /** Out of service as by a drain. What never was a member has no clients: it only leaves load balancing. */
  async drain(): Promise<void> {
    const { draining, report } = this;
    if (this.facts.member.isDrained) {
      for (const step of DRAIN_STEPS) report.unchanged(step, 'Drained already');
      return;
    }
    if (!this.facts.isMember) return this.leaveLoadBalancing();
    await draining.takeLease();
    await draining.hold();
    await draining.label();
    await draining.prove();
    await draining.quiet('follows');
  }

  isDisturbed(): boolean {
    return this.draining.isDisturbed();
  }

  returnLease(): Promise<void> {
    return this.draining.returnLease();
  }

  private async leaveLoadBalancing(): Promise<void> {
    const { id, waits, entry } = this;
    for (const step of DRAIN_STEPS) this.report.unchanged(step, 'Not a member');
    this.undo.register(['drainWorkloadEntry'], `the label istio.io/draining on the WorkloadEntry of ${id}`, () =>
      changeCluster(`Put ${id} back into load balancing`, waits.undoMs).drainWorkloadEntry({ ...entry, value: null }),
    );
    await this.draining.label();
    await this.report.step('proveDrained', `every istiod to stop giving out ${entry.address}`, async () => {
      const { namespace, address } = entry;
      await readCluster(`Wait until no istiod gives out ${address}`, waits.notGivenOutMs).verifyNotGivenOut({
        namespace,
        address,
        machine: this.body.name,
      });
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Machine first, while its entry still says draining; then the cluster. */
  async takeAway(): Promise<void> {
    const { id, waits, on, entry, plan, body } = this;
    await this.change('stopProxy', plan.stopsProxy, `capture and proxy of ${id} to stop`, async (summary) => {
      const { changed } = await changeHost(summary, waits.changeMs).stopProxy(on);
      return changed.length > 0;
    });
    await this.change('restoreMachine', plan.restores, `${id} to be restored from its journal`, async (summary) => {
      const { changed } = await changeHost(summary, waits.changeMs).restoreMachine(on);
      return changed.length > 0;
    });
    await this.change('removeWorkloadEntry', true, `the WorkloadEntry of ${id} to go`, async (summary) => {
      const removed = await changeCluster(summary, waits.changeMs).removeWorkloadEntry(entry);
      return removed.length > 0;
    });
    await this.change('removeClusterObjects', true, `the objects of ${id} to go`, async (summary) => {
      const cluster = changeCluster(summary, waits.changeMs);
      const removed = await cluster.removeObjects({ objects: plan.objects });
      const { namespace, workloadGroup } = entry;
      const shared = await cluster.removeGroupIfUnused({
        namespace,
        workloadGroup,
        machine: body.name,
        serviceAccount: body.workload?.serviceAccount ?? workloadGroup,
      });
      return removed.length + shared.length > 0;
    });
    await this.report.step('verifyRemoved', `a last look at ${id}`, async () => {
      await this.verifyRemoved();
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** What cannot be read is no proof that nothing is left. */
  private async verifyRemoved(): Promise<void> {
    const { id, body, waits, entry } = this;
    const [{ input }, registered] = await Promise.all([
      readBothSides(body, true, waits),
      lookAgain(waits.readableMs, () =>
        readCluster(`Look for a WorkloadEntry of ${id}`, waits.readableMs).readWorkloadEntry(entry),
      ),
    ]);
    const { cluster, machine, failures } = input;
    if (!cluster || !machine) {
      const why = [failures.cluster, failures.machine].flatMap((failure) => failure?.message ?? []).join('; ');
      throw ApplicationFailure.nonRetryable(`Nobody could see whether anything of ${id} is left: ${why}`, 'NotRead');
    }
    const wasOurs = this.plan.restores || this.facts.isPresent;
    const left = leftovers({ machineName: body.name, cluster, machine, registered, wasOurs });
    if (left.length > 0) {
      throw ApplicationFailure.nonRetryable(`Still there of ${id}: ${left.join(', ')}`, 'NotRemoved');
    }
  }

  private async change(
    step: string,
    isNeeded: boolean,
    waitingFor: string,
    apply: (summary: string) => Promise<boolean>,
  ): Promise<void> {
    if (!isNeeded) {
      this.report.unchanged(step, 'Nothing of it is there');
      return;
    }
    return this.report.step(step, waitingFor, async () => {
      const isChanged = await apply(`Wait for ${waitingFor}`);
      return { end: isChanged ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }
}
