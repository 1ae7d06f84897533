/** The routes of a migration: each weight written and seen at every client, and put back where others edit it. */
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';

import type { Deviation } from '../activities/follow-cutover.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import type { CutoverReport, WeightChange } from '../api/schemas/cutover.ts';
import { changeCluster, followCluster, readCluster } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import { explainFailure } from './explain-failure.ts';
import type { MigrationWaits } from './messages.ts';
import { now, type OperationReport } from './operation.ts';
import { routeTypesOf, subsetsOf } from './plan/cutover-steps.ts';
import { ProvenWrites } from './proven-writes.ts';
import { type Sides, sidesOf } from './sides.ts';

const LOOK_AGAIN_MS = 10_000;
const WAIT_FOR_MACHINES_MS = 6 * 3_600_000;
/** Temporal ends a workflow with 51,200 events as it stands, routes, pods and all: before that a run takes itself back. */
const MOST_EVENTS = 40_000;
const waitedTooLong =
  'The run has waited for longer than one workflow can; start it again with fewer steps, or with limits that it can meet';

type Of<Kind extends Deviation['kind']> = Extract<Deviation, { readonly kind: Kind }>;
type Seen = Exclude<Deviation, Of<'PodsLost' | 'WayBack'>>;

/** What a person has to say to what others do. */
export interface EditGates {
  readonly pause: (why: string) => void;
  readonly untilResumed: (toMend?: string) => Promise<void>;
}

/** Who has a weight written, and why. */
export interface Written {
  readonly by: string;
  readonly why: string;
}

export class LeadingRoutes {
  private readonly report: OperationReport;
  private readonly target: CutoverTarget;
  private readonly workloadGroup: string;
  private readonly waits: Required<MigrationWaits>;
  private readonly gates: EditGates;
  /** An edit pauses the run, and is put back once that is resumed; otherwise it is put back at once. */
  private readonly isPausedByEdits: boolean;
  private readonly rootNamespace: string | undefined;
  private readonly writes: ProvenWrites;
  private readonly sides: Sides;
  private readonly changes: WeightChange[] = [];
  private weight = 0;
  /** Some of the traffic went to pods, or may go there. */
  private isMoved: boolean;
  private soakUntil: string | undefined;
  private finalized: CutoverReport['finalized'];
  /** Others have edited what routes, and it was not written again yet. */
  private isEdited = false;
  /** Others route the Service too, as was seen last. */
  private isBeside = false;
  /** Why no machine would take the traffic back, as was seen last. */
  private wayBack: string | undefined;

  constructor(
    report: OperationReport,
    plan: Pick<CutoverPlan, 'target' | 'request' | 'isLeftBehind' | 'rootNamespace'>,
    waits: Required<MigrationWaits>,
    gates: EditGates,
  ) {
    const { target, request, isLeftBehind, rootNamespace } = plan;
    this.report = report;
    this.gates = gates;
    this.isPausedByEdits = request.onForeignEdit === 'pause';
    this.rootNamespace = rootNamespace;
    this.target = target;
    this.workloadGroup = request.workloadGroup;
    this.isMoved = isLeftBehind;
    this.waits = waits;
    this.writes = new ProvenWrites(waits);
    this.sides = sidesOf({ target, isLeftBehind }, this.writes, waits);
  }

  /** Percent to pods, as every client has acknowledged it. */
  share(): number {
    return this.weight;
  }

  /** Both sides get a name, which changes nothing for anybody. */
  async nameSides(): Promise<void> {
    await this.sides.name();
  }

  /**
   * One write for everybody who follows routes, and what moves the others. What others changed is put back before traffic moves on.
   * `isUrgent`: at once; default: within a second, so that one push is enough.
   */
  async lead(weight: number, { by, why }: Written, { isUrgent = false } = {}): Promise<void> {
    if (weight > 0) await this.asWritten();
    this.isMoved ||= weight > 0;
    await this.sides.before(weight);
    await this.settle(weight, isUrgent);
    this.weight = weight;
    this.soakUntil = undefined;
    this.changes.push({ at: now(), weight, by, why });
    this.tell();
  }

  finalizedBy({ by, why }: Written): void {
    this.finalized = { at: now(), by, ...(why === '' ? {} : { why }) };
    this.tell();
  }

  soaksUntil(instant: string): void {
    this.soakUntil = instant;
    this.tell();
  }

  /** Where an edit of others stands and its run is paused for it: written again once that is resumed. */
  async asWritten(): Promise<void> {
    if (!this.isEdited) return;
    const edit = 'What others changed meanwhile';
    await this.mayPutBack(edit);
    await this.putBack(edit);
  }

  /**
   * All traffic to the machines, however long its proof takes: until then some client may still send to pods. Where no machine serves it
   * stays with the pods until one does: what they answer is better than nothing.
   */
  async giveBack(written: Written): Promise<void> {
    for (;;) {
      try {
        await this.haveMachines();
        await this.lead(0, written, { isUrgent: true });
        this.needsNoWayBack();
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

  private tell(): void {
    const { weight, soakUntil, finalized, wayBack } = this;
    this.report.tellCutover({
      weight,
      changes: [...this.changes],
      ...(soakUntil === undefined ? {} : { soakUntil }),
      ...(finalized === undefined ? {} : { finalized }),
      ...(wayBack === undefined ? {} : { wayBack }),
    });
  }

  private tellWayBack(lost: string | undefined): void {
    this.wayBack = lost;
    this.tell();
  }

  /** Machines have the traffic, or leave. */
  needsNoWayBack(): void {
    if (this.wayBack !== undefined) this.tellWayBack(undefined);
  }

  /** Resolves once somebody takes what is given back. One activity waits: a night without machines is no long history. */
  private async haveMachines(): Promise<void> {
    const { target, workloadGroup } = this;
    for (let waitMs = LOOK_AGAIN_MS; this.isMoved; waitMs = WAIT_FOR_MACHINES_MS) {
      try {
        const cluster = readCluster(`See that a machine of ${workloadGroup} serves`, waitMs);
        await cluster.verifyMachineServes({ namespace: target.namespace, workloadGroup });
        return;
      } catch (error) {
        if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
        this.report.waitFor(explainFailure(error).message);
        await sleep(LOOK_AGAIN_MS, { summary: 'Until a machine serves' });
      }
    }
  }

  /** No client spreads its requests over both sides. */
  async guardHolds(): Promise<void> {
    await this.sides.holds();
  }

  /** Every client has these endpoints before it has a weight of them: none is sent to a side that it does not know yet. */
  async haveEndpoints(addresses: readonly string[]): Promise<void> {
    await this.sides.haveEndpoints(addresses);
  }

  /** Machines serve nobody any more, and are to leave. */
  async letMachinesGo(): Promise<void> {
    await this.sides.letMachinesGo();
  }

  /** Waits, and meanwhile puts back what others change of the routes. Throws `PodsLost` where pods take traffic and none is ready. */
  async whileFollowed<T>(wait: () => Promise<T>, follow = () => this.follow()): Promise<T> {
    const following = new CancellationScope();
    const followed = following.run(follow);
    try {
      return await Promise.race([wait(), followed]);
    } finally {
      following.cancel();
      await followed.catch(() => undefined);
    }
  }

  /** Routes before sides: no client may name one that is gone. */
  async takeAway(): Promise<void> {
    const { target } = this;
    this.needsNoWayBack();
    const { host } = target;
    const cluster = changeCluster(`Take away the routes of ${host}`, this.waits.undoMs);
    await this.writes.settle({
      what: 'VirtualService',
      pushed: { host, types: routeTypesOf(target) },
      ...{ isRemoval: true, mayWait: true },
      make: (_push, isTimed) => cluster.removeRoutes({ target, isTimed }),
      again: (push) => this.sides.pushAgain(this.weight, push),
    });
    await this.sides.takeAway();
  }

  private async settle(weight: number, isUrgent: boolean): Promise<void> {
    await this.write(weight, isUrgent);
    await this.sides.after(weight);
    this.isEdited = false;
  }

  private async write(weight: number, isUrgent: boolean): Promise<void> {
    const { target } = this;
    const ofSides = this.sides.moveWith(weight);
    const types = [...routeTypesOf(target), ...ofSides];
    if (types.length === 0) return;
    const { host } = target;
    const cluster = changeCluster(`Send ${weight}% of ${host} to pods`, this.waits.changeMs);
    const areSidesMoved = ofSides.length > 0;
    const make = (push: string, isTimed: boolean) =>
      cluster.applyRoutes({ target, weight, push, areSidesMoved, isTimed });
    await this.writes.settle({
      ...{ what: 'VirtualService', pushed: { host, types, subsets: subsetsOf(target) }, make, mayWait: !isUrgent },
      again: (push) => make(push, false),
    });
  }

  /** Others were seen to route the Service too. What they wrote is theirs: it is told, and the run is paused until it is gone. */
  isRoutedBeside(): boolean {
    return this.isBeside;
  }

  /** Resolves once nobody else was seen to route the Service any more; to be waited for while it is followed. */
  async untilAlone(): Promise<void> {
    await condition(() => !this.isBeside);
  }

  /** Never ends by itself. */
  private async follow(): Promise<never> {
    for (;;) {
      const found = await this.nextDeviation();
      if (found?.kind === 'RoutedAlone') this.isBeside = false;
      if (found?.kind === 'RoutedBeside') await this.leaveToOthers(found);
      if (found?.kind === 'RouteEdited') await this.mend(found);
    }
  }

  /** Resumed while it is still there, the run is paused again at the next look. */
  private async leaveToOthers({ object, by }: Of<'RoutedBeside'>): Promise<void> {
    const why = `${object}, which ${by} wrote last, routes ${this.target.host} beside the migration; remove it`;
    this.isBeside = true;
    this.gates.pause(why);
    await this.whilePaused(why);
  }

  private async mend({ object, by }: Of<'RouteEdited'>): Promise<void> {
    const edit = `${object} was changed by ${by}`;
    // Once for each edit, however often it is seen until somebody has said resume.
    if (!this.isEdited && this.isPausedByEdits) this.gates.pause(edit);
    this.isEdited = true;
    this.sides.forget();
    await this.mayPutBack(edit);
    await this.putBack(edit);
  }

  private async putBack(edit: string): Promise<void> {
    const { weight } = this;
    await this.sides.rewrite(weight);
    await this.settle(weight, true);
    this.changes.push({ at: now(), weight, by: 'the run', why: `${edit}: put back` });
    this.tell();
  }

  private async mayPutBack(edit: string): Promise<void> {
    if (this.isPausedByEdits) await this.whilePaused(`${edit}; it is put back then`);
  }

  /** Pods are followed meanwhile; what the run was at is told again afterwards. */
  private async whilePaused(toMend: string): Promise<void> {
    const { phase, waitingFor } = this.report.current();
    await this.whileFollowed(
      () => this.gates.untilResumed(toMend),
      () => this.followPods(),
    );
    const isToldElse = this.report.current().waitingFor !== undefined;
    if (phase === 'Running' && waitingFor !== undefined && !isToldElse) this.report.waitFor(waitingFor);
  }

  private async followPods(): Promise<never> {
    for (;;) await this.nextDeviation({ arePodsAlone: true });
  }

  /** Undefined where all stood as written, only the way back was told, or nobody could look. Throws `PodsLost`. */
  private async nextDeviation({ arePodsAlone = false } = {}): Promise<Seen | undefined> {
    const { target, workloadGroup, weight, rootNamespace, isBeside, wayBack } = this;
    if (workflowInfo().historyLength > MOST_EVENTS) throw ApplicationFailure.nonRetryable(waitedTooLong, 'HistoryFull');
    const known = {
      ...{ target, workloadGroup, weight, arePodsAlone, isBeside },
      ...(rootNamespace === undefined ? {} : { rootNamespace }),
      ...(wayBack === undefined ? {} : { wayBack }),
    };
    let found: Deviation | undefined;
    try {
      const looking = followCluster(`Follow the ${arePodsAlone ? 'pods' : 'routes'} of ${target.host}`);
      found = await looking.followCutover(known);
    } catch (error) {
      if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
      await sleep(LOOK_AGAIN_MS, { summary: 'Nobody could look' });
    }
    if (found?.kind === 'PodsLost') throw ApplicationFailure.nonRetryable(found.message, found.kind);
    if (found?.kind !== 'WayBack') return found;
    this.tellWayBack(found.lost);
    return undefined;
  }
}
