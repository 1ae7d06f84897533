/**
 * The routes of a migration: written, and seen at every client before anything rests on them. A write is seen at every istiod, made
 * once more so that a push follows that is later than that, and acknowledged by every client of the Service (protocols 2, 8).
 */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';

import type { Deviation } from '../activities/cutover.ts';
import type { ObjectRef } from '../activities/ports/cluster-port.ts';
import type { PushType } from '../activities/ports/mesh-port.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import type { WeightChange } from '../api/schemas/cutover.ts';
import { explainFailure } from './explain-failure.ts';
import { changeCluster, followCluster, readCluster } from './activity-proxies.ts';
import type { MigrationWaits } from './messages.ts';
import { now, type OperationReport } from './operation.ts';
import { routeRef } from './plan/cutover-steps.ts';
import type { SeenDraining } from './plan/drain-proof.ts';

const LOOK_AGAIN_MS = 10_000;
/** Temporal ends a workflow with 51,200 events as it stands, routes, pods and all: before that a run takes itself back. */
const MOST_EVENTS = 40_000;
const waitedTooLong =
  'The run has waited for longer than one workflow can; start it again with fewer steps, or with limits that it can meet';

/** Who has a weight written, and why. */
export interface Written {
  readonly by: string;
  readonly why: string;
}

export class LeadingRoutes {
  private readonly report: OperationReport;
  private readonly target: CutoverTarget;
  private readonly waits: Required<MigrationWaits>;
  private readonly untilMayPutBack: (why: string) => Promise<void>;
  private readonly changes: WeightChange[] = [];
  private weight = 0;
  /** As the subsets were written last, whether or not every client has acknowledged it. */
  private subsetsAt = 0;
  private pushes = 0;
  /** Others have edited what routes, and it is not put back yet. */
  private isEdited = false;

  constructor(
    report: OperationReport,
    target: CutoverTarget,
    waits: Required<MigrationWaits>,
    untilMayPutBack: (why: string) => Promise<void>,
  ) {
    this.report = report;
    this.untilMayPutBack = untilMayPutBack;
    this.target = target;
    this.waits = waits;
  }

  /** Percent to pods, as every client has acknowledged it. */
  share(): number {
    return this.weight;
  }

  /** Both sides get a name, which changes nothing for anybody. */
  async nameSides(): Promise<void> {
    await this.writeSubsets(0);
  }

  /** One write for everybody, and one more where TCP changes sides. */
  async lead(weight: number, { by, why }: Written): Promise<void> {
    await this.write(weight);
    if (this.speaks('tcp') && (weight === 100) !== (this.subsetsAt === 100)) await this.writeSubsets(weight);
    this.weight = weight;
    this.changes.push({ at: now(), weight, by, why });
    this.tell();
  }

  /** All traffic to the machines, however long its proof takes: until then some client may still send to pods. */
  async giveBack(written: Written): Promise<void> {
    for (;;) {
      try {
        await this.lead(0, written);
        return;
      } catch (error) {
        if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
        this.report.waitFor(`traffic to be seen with the machines: ${explainFailure(error).message}`);
        await sleep(LOOK_AGAIN_MS, { summary: 'Until it can be seen' });
      }
    }
  }

  /** What the last weight was judged by. */
  note(evidence: NonNullable<WeightChange['evidence']>): void {
    const last = this.changes.pop();
    if (last !== undefined) this.changes.push({ ...last, evidence });
    this.tell();
  }

  tell(soakUntil?: string): void {
    const changes = [...this.changes];
    this.report.tellCutover({ weight: this.weight, changes, ...(soakUntil === undefined ? {} : { soakUntil }) });
  }

  /** No client spreads its requests over both sides. */
  async guardHolds(): Promise<void> {
    const { host, ports } = this.target;
    const cluster = readCluster(`See that no proxy goes past the guard of ${host}`, this.waits.routedMs);
    await cluster.verifyGuarded({ host, ports: ports.map(({ port }) => port) });
  }

  /** Every client has these endpoints: none is sent to a side that it does not know yet. */
  async haveEndpoints(addresses: readonly string[]): Promise<void> {
    const { target } = this;
    const cluster = readCluster('Wait until every istiod gives the pods out', this.waits.routedMs);
    const seen = await cluster.verifyOffered({ host: target.host, addresses });
    await this.beforeProof();
    const change = changeCluster(`Push the endpoints of ${target.host} once more`, this.waits.changeMs);
    await change.applySubsets({ target, weight: this.weight, push: this.nextPush() });
    await this.acknowledged(['cds', 'eds'], seen);
  }

  /** Waits, and meanwhile puts back what others change of the routes; they stand as written when this resolves. Throws `PodsLost` where pods take traffic and none is ready. */
  async whileFollowed<T>(wait: () => Promise<T>): Promise<T> {
    const following = new CancellationScope();
    const followed = following.run(() => this.follow());
    try {
      const value = await Promise.race([wait(), followed]);
      if (this.isEdited) await Promise.race([condition(() => !this.isEdited), followed]);
      return value;
    } finally {
      following.cancel();
      await followed.catch(() => undefined);
    }
  }

  /** Routes before subsets: no client may name a subset that is gone. */
  async takeAway(): Promise<void> {
    const { target } = this;
    const cluster = changeCluster(`Take away the routes of ${target.host}`, this.waits.undoMs);
    await cluster.restoreGatewayRoutes({ target });
    const routes = routeRef(target, 'VirtualService');
    await cluster.removeObjects({ objects: [routes] });
    const gone = readCluster('Wait until no istiod holds the VirtualService', this.waits.routedMs);
    const seen = await gone.verifyHeld({ refs: [routes], push: null });
    await this.beforeProof();
    await cluster.applySubsets({ target, weight: 0, push: this.nextPush() });
    await this.acknowledged(this.routeTypes(), seen);
    await cluster.removeObjects({ objects: [routeRef(target, 'DestinationRule')] });
  }

  private async writeSubsets(weight: number): Promise<void> {
    const { target } = this;
    this.subsetsAt = weight;
    await this.settle('DestinationRule', ['cds', 'eds'], async (push) => {
      const cluster = changeCluster(`Name the two sides of ${target.host}`, this.waits.changeMs);
      await cluster.applySubsets({ target, weight, push });
      return [routeRef(target, 'DestinationRule')];
    });
  }

  private async write(weight: number): Promise<void> {
    const { target } = this;
    await this.settle('VirtualService', this.routeTypes(), (push) => {
      const cluster = changeCluster(`Send ${weight}% of ${target.host} to pods`, this.waits.changeMs);
      return cluster.applyRoutes({ target, weight, push });
    });
  }

  private async settle(
    kind: 'DestinationRule' | 'VirtualService',
    types: readonly PushType[],
    write: (push: string) => Promise<readonly ObjectRef[]>,
  ): Promise<void> {
    const push = this.nextPush();
    const refs = await write(push);
    const cluster = readCluster(`Wait until every istiod holds the ${kind}`, this.waits.routedMs);
    const seen = await cluster.verifyHeld({ refs, push });
    await this.beforeProof();
    await write(this.nextPush());
    await this.acknowledged(types, seen);
  }

  private async acknowledged(types: readonly PushType[], seen: readonly SeenDraining[]): Promise<void> {
    const { host } = this.target;
    const cluster = readCluster(`Wait until every client of ${host} has taken it`, this.waits.routedMs);
    await cluster.verifyPushed({ host, types, seen });
  }

  /** Never ends by itself. */
  private async follow(): Promise<never> {
    const { target } = this;
    for (;;) {
      if (workflowInfo().historyLength > MOST_EVENTS)
        throw ApplicationFailure.nonRetryable(waitedTooLong, 'HistoryFull');
      const found = await this.nextDeviation();
      if (found === undefined) continue;
      if (found.kind === 'PodsLost') throw ApplicationFailure.nonRetryable(found.message, found.kind);
      const edit = `${found.object} was changed by ${found.by}`;
      this.isEdited = true;
      await this.mayPutBack(edit);
      await changeCluster(`Name the two sides of ${target.host} again`, this.waits.changeMs).applySubsets({
        ...{ target, weight: this.weight, push: this.nextPush() },
      });
      await this.write(this.weight);
      this.isEdited = false;
      this.changes.push({ at: now(), weight: this.weight, by: 'the run', why: `${edit}: put back` });
      this.tell();
    }
  }

  /** What the run was waiting for is told again afterwards. */
  private async mayPutBack(edit: string): Promise<void> {
    const { phase, waitingFor } = this.report.current();
    await this.untilMayPutBack(edit);
    if (phase === 'Waiting') this.report.waitForOthers(waitingFor);
    else if (waitingFor !== undefined) this.report.waitFor(waitingFor);
  }

  /** Undefined where all stood as written for a while, or nobody could look. */
  private async nextDeviation(): Promise<Deviation | undefined> {
    const { target, weight } = this;
    try {
      return await followCluster(`Follow the routes of ${target.host}`).followCutover({ target, weight });
    } catch (error) {
      if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
      await sleep(LOOK_AGAIN_MS, { summary: 'Nobody could look' });
      return undefined;
    }
  }

  /** istiod's times have whole seconds: what it pushes for the second write is later than what it said of the first. */
  private async beforeProof(): Promise<void> {
    await sleep('1s', { summary: 'Before the push that proves' });
  }

  private routeTypes(): readonly PushType[] {
    return [...(this.speaks('http') ? (['rds'] as const) : []), ...(this.speaks('tcp') ? (['lds'] as const) : [])];
  }

  private speaks(wanted: 'http' | 'tcp'): boolean {
    return this.target.ports.some(({ protocol }) => protocol === wanted);
  }

  private nextPush(): string {
    this.pushes += 1;
    return `${workflowInfo().runId}.${this.pushes}`;
  }
}
