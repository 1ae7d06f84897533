/**
 * The sides of a Service by `guard: selector`: Services of their own, and the selector of the Service itself, which has one side's
 * endpoints at a time. It goes from one to the other by way of both: whatever order an istiod hears of it in, no client of it is ever
 * without an endpoint.
 */
import type { PushType } from '../activities/ports/mesh-port.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import type { Selected } from '../activities/render/service-sides.ts';
import { changeCluster, lookOnce, readCluster } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import { isSeen } from './look-again.ts';
import type { MigrationWaits } from './messages.ts';
import { machinesRef, podsHostOf, selectedAt } from './plan/cutover-steps.ts';
import type { ProvenWrites } from './proven-writes.ts';
import type { Sides } from './sides.ts';

type Side = Exclude<Selected, 'both'>;

export class ServiceSides implements Sides {
  private readonly target: CutoverTarget;
  private readonly writes: ProvenWrites;
  private readonly waits: Required<MigrationWaits>;
  /** As every client has it; undefined while it changes, and where a run before may have left it otherwise. */
  private selected: Selected | undefined;

  constructor(
    { target, isLeftBehind }: Pick<CutoverPlan, 'target' | 'isLeftBehind'>,
    writes: ProvenWrites,
    waits: Required<MigrationWaits>,
  ) {
    this.target = target;
    this.writes = writes;
    this.waits = waits;
    this.selected = isLeftBehind ? undefined : 'both';
  }

  /** Nobody calls them yet: who is sent to them later has them before, from the istiods that hold them now. */
  async name(): Promise<void> {
    await this.writes.held('Services of both sides', (push) => this.applySides('Make', push));
  }

  async before(weight: number): Promise<void> {
    if (selectedAt(weight) === 'machines') await this.moveTo('machines');
  }

  moveWith(): readonly PushType[] {
    return [];
  }

  async after(weight: number): Promise<void> {
    if (selectedAt(weight) === 'pods') await this.moveTo('pods');
  }

  /** A selector that others have edited is put back as a whole, or restored when the run is taken back. */
  forget(): void {
    return;
  }

  async rewrite(weight: number): Promise<void> {
    await this.applySides('Make', this.writes.nextPush());
    await this.select(selectedAt(weight), this.writes.nextPush());
  }

  async holds(): Promise<void> {
    await this.verify('machines', { isAlone: true });
  }

  async haveEndpoints(addresses: readonly string[]): Promise<void> {
    const host = podsHostOf(this.target);
    const cluster = readCluster('Wait until every istiod gives the pods out', this.waits.routedMs);
    const seen = await cluster.verifyOffered({ host, addresses });
    await this.writes.forPushes();
    await this.applySides('Push', this.writes.nextPush());
    await this.writes.acknowledged({ host, types: ['cds', 'eds'] }, seen);
  }

  async pushAgain(_weight: number, push: string): Promise<void> {
    this.selected = undefined;
    await this.select('both', push);
  }

  async takeAway(): Promise<void> {
    const { host } = this.target;
    const cluster = changeCluster(`Give Service ${host} its own selector back`, this.waits.undoMs);
    await cluster.restoreSelector({ target: this.target });
    await cluster.removeSides({ target: this.target });
    this.selected = 'both';
  }

  /** None of them is the last one of its own Service then. */
  async letMachinesGo(): Promise<void> {
    const cluster = changeCluster('Take away the Service of machines', this.waits.undoMs);
    const refs = [machinesRef(this.target)];
    await cluster.removeSides({ target: this.target, refs });
    const gone = readCluster('Wait until no istiod holds the Service of machines', this.waits.routedMs);
    await gone.verifyHeld({ refs, push: null });
  }

  private async moveTo(side: Side): Promise<void> {
    if (this.selected === side) return;
    const isGivenOut = await this.isGivenOut(side);
    this.selected = undefined;
    if (!isGivenOut) {
      await this.writes.held('Service', (push) => this.select('both', push));
      await this.verify(side, { isAlone: false });
    }
    await this.writes.held('Service', (push) => this.select(side, push));
    const seen = await this.verify(side, { isAlone: true });
    await this.writes.forPushes();
    await this.select(side, this.writes.nextPush());
    await this.writes.acknowledged({ host: this.target.host, types: ['cds', 'eds'] }, seen);
    this.selected = side;
  }

  /** Beside the other side or alone. Where nobody knows how it was left it is looked at: what clients have already needs no way by both. */
  private async isGivenOut(side: Side): Promise<boolean> {
    if (this.selected !== undefined) return this.selected === 'both';
    const cluster = lookOnce(`See whether istiods give ${side} out for ${this.target.host}`, this.waits.readableMs);
    return await isSeen(() => cluster.verifySelected({ target: this.target, side, isAlone: false }));
  }

  private async verify(side: Side, { isAlone }: { readonly isAlone: boolean }) {
    const cluster = readCluster(
      `Wait until every istiod gives ${side} out for ${this.target.host}`,
      this.waits.routedMs,
    );
    return await cluster.verifySelected({ target: this.target, side, isAlone });
  }

  private async select(selected: Selected, push: string) {
    const { target } = this;
    const what = selected === 'both' ? 'both sides' : selected;
    const cluster = changeCluster(`Have Service ${target.host} select ${what}`, this.waits.changeMs);
    return await cluster.selectSide({ target, selected, push });
  }

  private async applySides(verb: 'Make' | 'Push', push: string) {
    const { target } = this;
    const cluster = changeCluster(`${verb} the Services of both sides of ${target.host}`, this.waits.changeMs);
    return await cluster.applySides({ target, push });
  }
}
