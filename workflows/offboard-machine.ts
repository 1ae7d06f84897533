/**
 * Takes one machine out of the mesh. The runbook:
 * read what stands; take the machine out of load balancing and wait until no istiod gives its address out; stop capture, then the
 * proxy; restore the machine from its journal; remove its WorkloadEntry and objects, and the group with its last machine; look
 * again. Until the proxy stops, a failure or cancel puts the machine back into load balancing; from then on it only goes forward.
 */
import { ApplicationFailure, CancellationScope, isCancellation, TemporalFailure } from '@temporalio/workflow';

import type { ClusterFacts } from '../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../activities/ports/host-port.ts';
import type { OnboardMachine } from '../api/schemas/machine.ts';
import { changeCluster, changeHost, defaultWaits, readCluster } from './activity-proxies.ts';
import { Compensations } from './compensation.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { endOperation, explainFailure, now, OperationReport } from './operation.ts';
import { leftovers, planOffboard } from './plan/offboard-plan.ts';
import type { OffboardPlan } from './plan/offboard-plan.ts';
import { registeredAddress } from './plan/evidence.ts';
import { blocking } from './plan/conditions.ts';
import { readConditions } from './plan/read-checks.ts';
import { readBothSides } from './read-facts.ts';

export interface OffboardInput {
  /** What the machine was onboarded with. */
  readonly body: OnboardMachine;
  readonly fence?: number;
  readonly waits?: Waits;
}

const STEPS = [
  'drainWorkloadEntry',
  'verifyNotGivenOut',
  'stopProxy',
  'restoreMachine',
  'removeWorkloadEntry',
  'removeClusterObjects',
  'verifyRemoved',
];

export async function offboardMachine(given: OffboardInput): Promise<OperationOutcome> {
  const { body } = given;
  const { namespace, name } = body;
  const id = `${namespace}/${name}`;
  const waits = { ...defaultWaits, ...given.waits };
  const report = new OperationReport('offboard', { namespace, name }, STEPS);
  const undo = new Compensations();
  let fence = 0;
  let hasStopped = false;
  try {
    report.waitFor(`facts of ${id} and its cluster`);
    const read = await readBothSides(body, true, waits);
    report.setConditions(readConditions(read.input, now()));
    const faults = blocking(report.current().conditions);
    const { cluster, machine } = read.input;
    if (faults.length > 0 || !cluster || !machine) {
      const message = `Nothing was touched: ${faults.map((fault) => fault.message).join('; ')}`;
      return await endOperation(report.finish('Failed', message, `Correct this and DELETE ${id} again`), {
        fence,
        leftBehind: true,
      });
    }
    fence = given.fence ?? Math.max(1, machine.journal.fence + 1);
    const leaving = new Leaving(
      report,
      { ...body, host: read.input.request.host },
      { cluster, machine },
      fence,
      waits,
      undo,
    );

    await leaving.drain();
    hasStopped = true;
    await CancellationScope.nonCancellable(() => leaving.takeAway());
    const message = `${id} is out of the mesh and as found; the cluster has nothing of it left`;
    return await endOperation(report.finish('Succeeded', message), { fence, leftBehind: false });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    const cause = explainFailure(error).message;
    if (hasStopped) {
      const operation = report.finish('Failed', `${cause}; ${id} is partly taken away`, `DELETE ${id} again to finish`);
      return endOperation(operation, { fence, leftBehind: true });
    }
    const { steps, left } = await undo.run((failed) => explainFailure(failed).message);
    report.undone(steps);
    const phase =
      left.length > 0 ? 'Failed' : isCancellation(error) ? 'Cancelled' : undo.isEmpty ? 'Failed' : 'RolledBack';
    const state = left.length > 0 ? `could not undo: ${left.join('; ')}` : `${id} stays a member`;
    return endOperation(report.finish(phase, `${cause}; ${state}`, `DELETE ${id} again`), { fence, leftBehind: true });
  }
}

/** The steps of one offboarding, in call order. */
class Leaving {
  private readonly report: OperationReport;
  private readonly body: OnboardMachine;
  private readonly facts: { readonly cluster: ClusterFacts; readonly machine: MachineFacts };
  private readonly waits: Required<Waits>;
  private readonly undo: Compensations;
  private readonly id: string;
  private readonly plan: OffboardPlan;
  private readonly entry: { readonly namespace: string; readonly workloadGroup: string; readonly address: string };
  private readonly on: { readonly host: OnboardMachine['host']; readonly operation: string; readonly fence: number };

  constructor(
    report: OperationReport,
    body: OnboardMachine,
    facts: { readonly cluster: ClusterFacts; readonly machine: MachineFacts },
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
    this.on = { host: body.host, operation: report.current().id, fence };
  }

  /** Out of load balancing, on evidence from every istiod. */
  async drain(): Promise<void> {
    const { id, waits, entry } = this;
    this.undo.register(['drainWorkloadEntry'], `the label istio.io/draining on the WorkloadEntry of ${id}`, () =>
      changeCluster(`Put ${id} back into load balancing`, waits.undoMs).drainWorkloadEntry({ ...entry, value: null }),
    );
    // The last 26 characters of an operation's id are its ULID: a label value has at most 63 characters.
    const value = `${this.on.operation.slice(-26)}.a`;
    await this.report.step('drainWorkloadEntry', `the WorkloadEntry of ${id} to be labelled`, async () => {
      const isThere = await changeCluster(`Take ${id} out of load balancing`, waits.changeMs).drainWorkloadEntry({
        ...entry,
        value,
      });
      return { end: isThere ? 'Succeeded' : 'Unchanged', value: undefined };
    });
    await this.report.step('verifyNotGivenOut', `every istiod to stop giving out ${entry.address}`, async () => {
      const { namespace, address } = entry;
      await readCluster(`Wait until no istiod gives out ${address}`, waits.notGivenOutMs).verifyNotGivenOut({
        namespace,
        address,
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
      const shared = await cluster.removeGroupIfUnused({ namespace, workloadGroup, machine: body.name });
      return removed.length + shared.length > 0;
    });
    await this.report.step('verifyRemoved', `a last look at ${id}`, async () => {
      const { input } = await readBothSides(body, true, waits);
      const { cluster = this.facts.cluster, machine = this.facts.machine } = input;
      const left = leftovers(body.name, cluster, machine);
      if (left.length > 0) {
        throw ApplicationFailure.nonRetryable(`Still there of ${id}: ${left.join(', ')}`, 'NotRemoved');
      }
      return { end: 'Succeeded', value: undefined };
    });
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
