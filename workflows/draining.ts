/**
 * Takes a machine out of service (protocols 3), one method a step; drain, restart and offboarding share them. Until the disturbance
 * everything can be taken back: redirection on, hold off, label off.
 */
import { ApplicationFailure, getExternalWorkflowHandle, isCancellation, log, sleep } from '@temporalio/workflow';

import type { HostStep } from '../activities/host.ts';
import type { OnboardMachine } from '../api/schemas/machine.ts';
import { changeCluster, changeHost, readCluster } from './activity-proxies.ts';
import type { Compensations } from './compensation.ts';
import { leftMs, untilProven, untilQuiet } from './drain-evidence.ts';
import type { DrainingMachine, MachineEntry } from './drain-evidence.ts';
import { explainFailure } from './explain-failure.ts';
import { lookAgain } from './look-again.ts';
import { returnLeaseSignal } from './messages.ts';
import type { MemberState, Waits } from './messages.ts';
import type { OperationReport } from './operation.ts';
import type { DrainTerms } from './plan/drain-terms.ts';
import { predictedGap } from './plan/drain-terms.ts';
import { drainValue } from './plan/drain-value.ts';
import type { LeaseVerdict } from './plan/floors.ts';

export const DRAIN_STEPS = ['takeLease', 'holdMachine', 'drainWorkloadEntry', 'proveDrained', 'quietConnections'];
/** What is undone where a drain does not end well. */
const UNDOABLE = ['holdMachine', 'drainWorkloadEntry', 'proveDrained', 'quietConnections'];

const LONGEST_PAUSE_MS = 5_000;

export interface Drained {
  /** As onboarded, its host key pinned. */
  readonly body: OnboardMachine;
  /** The address its entry is registered with. */
  readonly address: string;
  readonly member: MemberState;
  readonly fence: number;
}

export class Draining implements DrainingMachine {
  readonly id: string;
  /** What every activity on the machine is told. */
  readonly on: HostStep;
  readonly entry: MachineEntry;
  private readonly report: OperationReport;
  private readonly member: MemberState;
  private readonly terms: DrainTerms;
  private readonly waits: Required<Waits>;
  private readonly undo: Compensations;
  private hasLease = false;
  private isBegun = false;
  private labelledAtMs: number | undefined;

  constructor(
    report: OperationReport,
    { body, address, member, fence }: Drained,
    terms: DrainTerms,
    waits: Required<Waits>,
    undo: Compensations,
  ) {
    const { namespace, name, host, workloadGroup } = body;
    this.report = report;
    this.member = member;
    this.terms = terms;
    this.waits = waits;
    this.undo = undo;
    this.id = `${namespace}/${name}`;
    this.on = { namespace, name, host, operation: report.current().id, fence };
    this.entry = { namespace, workloadGroup, address };
  }

  /** Waits for its turn; what can not come true by waiting ends the operation, and nothing was touched. */
  async takeLease(): Promise<void> {
    await this.report.step('takeLease', `a lease of floors/${this.on.namespace} on ${this.id}`, async () => {
      const disrupts = await this.lease();
      if (disrupts.length > 0) {
        const { least, most } = predictedGap(this.terms);
        this.report.tellDrain({ disrupts: [...disrupts], gap: { predictedSeconds: { least, most } } });
      }
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** From here on a reboot does not bring the machine back by itself. */
  async hold(): Promise<void> {
    const { id, on, waits } = this;
    this.undo.register(
      UNDOABLE,
      `${id} drained: its hold file, and the label istio.io/draining of its WorkloadEntry`,
      () => this.putBack(),
    );
    await this.report.step('holdMachine', `${id} to be held`, async () => {
      const { changed } = await changeHost(`Hold ${id}`, waits.changeMs).holdMachine(on);
      return { end: changed.length > 0 ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }

  async label(): Promise<void> {
    const { id } = this;
    await this.report.step('drainWorkloadEntry', `the WorkloadEntry of ${id} to be labelled`, async () => {
      this.labelledAtMs = Date.now();
      const isThere = await this.setLabel(drainValue(this.on.operation));
      return { end: isThere ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }

  /** Every istiod says that no client holds the machine any more, and none sends anything. */
  async prove(): Promise<void> {
    await this.report.step('proveDrained', `every client in the mesh to let go of ${this.id}`, async () => {
      const until = Date.now() + this.terms.deadlineMs;
      try {
        await untilProven(this, until, () => this.setLabel(drainValue(this.on.operation, 'b')));
      } catch (error) {
        this.accept(error);
      }
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Re-read just before the disturbance: what was free when the lease was granted may have fallen since. */
  async confirmLease(): Promise<void> {
    if (this.hasLease) await this.lease();
  }

  /**
   * Waits until the proxy serves nobody. What outlasts the deadline is counted, to be told as left, or as cut where a stop follows:
   * then the proxy tells its clients to go, which can not be taken back.
   */
  async quiet(stop: 'follows' | 'none'): Promise<void> {
    const { id, on, waits, terms } = this;
    await this.report.step('quietConnections', `requests to ${id} to end`, async () => {
      // Plaintext callers do not follow the label: the application answers them itself from here on.
      if (!this.member.isEnforced) await changeHost(`Stop redirecting on ${id}`, waits.changeMs).stopCapture(on);
      if (stop === 'follows') {
        await this.confirmLease();
        this.isBegun = true;
        this.report.goForwardOnly();
        await changeHost(`Let the proxy of ${id} take leave of its clients`, waits.changeMs).drainProxy(on);
      }
      const left = await untilQuiet(this, terms.deadlineMs, waits.changeMs);
      this.report.tellDrain(stop === 'follows' ? { connectionsCut: left } : { connectionsLeft: left });
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** The proxy was told to leave: only a restart brings the machine back. */
  isDisturbed(): boolean {
    return this.isBegun;
  }

  /** Hold off before the label: a machine that takes traffic must come back from a reboot by itself. */
  async putBack(): Promise<void> {
    const { id, on, waits } = this;
    await changeHost(`Let go of ${id}`, waits.undoMs).releaseMachine(on);
    await changeCluster(`Put ${id} back into load balancing`, waits.undoMs).drainWorkloadEntry({
      ...this.entry,
      value: null,
    });
  }

  /** Label off, and proof that every istiod gives the machine to clients again. */
  async putBackProven(): Promise<void> {
    const { id, waits } = this;
    const { namespace, address } = this.entry;
    const machine = this.on.name;
    await this.report.step('undrainWorkloadEntry', `the WorkloadEntry of ${id} to lose its label`, async () => {
      const cluster = changeCluster(`Put ${id} back into load balancing`, waits.changeMs);
      await cluster.drainWorkloadEntry({ ...this.entry, value: null });
      return { end: 'Succeeded', value: undefined };
    });
    await this.report.step('verifyGivenOut', `every istiod to give ${address} to clients again`, async () => {
      const { notGivenOutMs } = waits;
      await lookAgain(notGivenOutMs, () =>
        readCluster(`Wait until every istiod gives out ${address}`, notGivenOutMs).verifyGivenOut({
          namespace,
          machine,
          address,
        }),
      );
      return { end: 'Succeeded', value: undefined };
    });
    const { gap } = this.report.current().drain ?? {};
    if (gap && this.labelledAtMs !== undefined) {
      const measuredSeconds = (Date.now() - this.labelledAtMs) / 1_000;
      this.report.tellDrain({ gap: { ...gap, measuredSeconds } });
    }
  }

  /** Where `floors` does not run any more there is nothing to return; a closed operation holds none anyway. */
  async returnLease(): Promise<void> {
    if (!this.hasLease) return;
    this.hasLease = false;
    try {
      await getExternalWorkflowHandle(`floors/${this.on.namespace}`).signal(returnLeaseSignal, this.on.operation);
    } catch (error) {
      log.warn('The lease is returned by the end of this operation', { error: explainFailure(error).message });
    }
  }

  /** Of a machine that stays drained, whatever became of its entry. */
  async relabel(): Promise<void> {
    await this.setLabel(drainValue(this.on.operation));
  }

  private setLabel(value: string): Promise<boolean> {
    const cluster = changeCluster(`Take ${this.id} out of load balancing`, this.waits.changeMs);
    return cluster.drainWorkloadEntry({ ...this.entry, value });
  }

  /** Services that fall below their floor by it. */
  private async lease(): Promise<readonly string[]> {
    const until = Date.now() + this.terms.deadlineMs;
    let pauseMs = 1_000;
    for (;;) {
      const verdict = await this.ask(until);
      if (verdict === undefined) return [];
      if (verdict.kind === 'Granted') {
        this.hasLease = true;
        return verdict.disrupts;
      }
      if (verdict.kind === 'SoleEndpoint') throw ApplicationFailure.nonRetryable(verdict.message, 'SoleEndpoint');
      const leftMs = until - Date.now();
      if (leftMs <= 0) {
        const message = `No lease on ${this.id} within ${this.terms.deadlineMs / 1_000} s: ${verdict.message}`;
        throw ApplicationFailure.nonRetryable(message, 'LeaseUnavailable');
      }
      this.report.waitForOthers(verdict.message);
      await sleep(Math.min(pauseMs, leftMs), { summary: verdict.message });
      this.report.waitForOthers(undefined);
      pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS);
    }
  }

  /** Undefined where nobody can tell who is in service, and that was allowed. */
  private async ask(until: number): Promise<LeaseVerdict | undefined> {
    const { namespace, name, operation } = this.on;
    const { allowDisruption, isReplaced = false } = this.terms;
    try {
      return await readCluster(`Ask floors/${namespace} for a lease on ${name}`, leftMs(until)).askLease({
        namespace,
        request: { operationId: operation, machine: name, allowDisruption, isReplaced },
      });
    } catch (error) {
      this.accept(explainFailure(error).type === 'TimedOut' ? this.evidenceMissing() : error);
      return undefined;
    }
  }

  /** No attempt said why: what a lease waits for is the word of every istiod. */
  private evidenceMissing(): ApplicationFailure {
    const { namespace } = this.on;
    const message = `floors/${namespace} did not learn in time from every istiod who is in service; see that each istiod is Ready and can be reached by port-forward`;
    return ApplicationFailure.nonRetryable(message, 'EvidenceUnavailable');
  }

  /** What is not proven ends the operation, unless it was asked to go on: then it is recorded. */
  private accept(error: unknown): void {
    const { type, message } = explainFailure(error);
    const isEvidence = [
      'DrainUnproven',
      'EvidenceUnavailable',
      'EndpointGivenOut',
      'TimedOut',
      'ClusterUnreachable',
    ].includes(type);
    if (isCancellation(error) || !isEvidence || !this.terms.allowUnproven) throw error;
    const { unproven = [] } = this.report.current().drain ?? {};
    this.report.tellDrain({ unproven: [...unproven, message] });
  }
}
