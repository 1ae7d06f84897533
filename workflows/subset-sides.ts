/** The sides of a Service by its routes: subsets of it that a DestinationRule names. */
import type { PushType } from '../activities/ports/mesh-port.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import { changeCluster, type ClusterActivities, readCluster } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import type { MigrationWaits } from './messages.ts';
import { routeRef, subsetsOf } from './plan/cutover-steps.ts';
import type { ProvenWrites } from './proven-writes.ts';
import type { Sides } from './sides.ts';

export class SubsetSides implements Sides {
  private readonly target: CutoverTarget;
  private readonly writes: ProvenWrites;
  private readonly waits: Required<MigrationWaits>;
  private readonly isLeftBehind: boolean;
  /** The weight at which every client has the subset of TCP; undefined while that changes. */
  private knownAt: number | undefined;
  /** Others have edited the subsets, and they were not written again yet. */
  private isEdited = false;

  constructor(
    { target, isLeftBehind }: Pick<CutoverPlan, 'target' | 'isLeftBehind'>,
    writes: ProvenWrites,
    waits: Required<MigrationWaits>,
  ) {
    this.target = target;
    this.isLeftBehind = isLeftBehind;
    this.knownAt = isLeftBehind ? undefined : 0;
    this.writes = writes;
    this.waits = waits;
  }

  /** Who asks for the endpoints of a new subset has taken it; by the name of one that a run before had, other endpoints may be meant. */
  async name(): Promise<void> {
    const { host } = this.target;
    const subsets = subsetsOf(this.target);
    const known = await readCluster(`See who knows subsets of ${host}`, this.waits.routedMs).readAsking({
      host,
      subsets,
    });
    const write = (push: string) => this.write(`Name the two sides of ${host}`, 0, push);
    const asked = (cluster: ClusterActivities): Promise<void> => cluster.verifyAsked({ host, subsets, areNew: true });
    const isNew = !this.isLeftBehind && known.length === 0;
    await this.writes.settle({
      what: 'DestinationRule',
      pushed: { host, types: ['cds', 'eds'] },
      make: async (push) => {
        await write(push);
        return { refs: [routeRef(this.target, 'DestinationRule')] };
      },
      again: write,
      ...(isNew ? { shown: asked } : {}),
    });
    this.knownAt = 0;
  }

  /** A client that refuses the endpoints of pods, or does not ask for them, is sent to none. */
  async before(weight: number): Promise<void> {
    if (weight === 0) return;
    const { host } = this.target;
    const cluster = readCluster(`See that every client of ${host} takes endpoints of both sides`, this.waits.routedMs);
    await cluster.verifyAsked({ host, subsets: subsetsOf(this.target), areNew: false });
  }

  /** TCP changes sides as a whole: a subset gets other endpoints. What is not known to have come, or was edited, is written again. */
  moveWith(weight: number): readonly PushType[] {
    const { knownAt, isEdited } = this;
    const isTcp = this.target.ports.some(({ protocol }) => protocol === 'tcp');
    const isKnown = knownAt !== undefined && (!isTcp || (weight === 100) === (knownAt === 100));
    if (isKnown && !isEdited) return [];
    this.knownAt = undefined;
    return isEdited ? ['cds', 'eds'] : ['eds'];
  }

  after(weight: number): Promise<void> {
    this.knownAt = weight;
    this.isEdited = false;
    return Promise.resolve();
  }

  forget(): void {
    this.isEdited = true;
  }

  async rewrite(weight: number): Promise<void> {
    await this.write(`Name the two sides of ${this.target.host} again`, weight);
  }

  async holds(): Promise<void> {
    const { host, ports } = this.target;
    const cluster = readCluster(`See that no proxy goes past the guard of ${host}`, this.waits.routedMs);
    await cluster.verifyGuarded({ host, ports: ports.map(({ port }) => port) });
  }

  /**
   * No push of its own has to prove it: what istiod gives out it hands to each client, and in that order whatever is written from here on
   * [pilot/pkg/xds/pushqueue.go; delta.go: one goroutine per connection]. Who has acknowledged a weight has them. A smoke request that is
   * quicker is answered 503, and sent again.
   */
  async haveEndpoints(addresses: readonly string[]): Promise<void> {
    const { host } = this.target;
    const cluster = readCluster('Wait until every istiod gives the pods out', this.waits.routedMs);
    await cluster.verifyOffered({ host, addresses });
  }

  async pushAgain(weight: number, push: string): Promise<void> {
    const cluster = changeCluster(`Take away the routes of ${this.target.host}`, this.waits.undoMs);
    await cluster.applySubsets({ target: this.target, weight, push });
  }

  async takeAway(): Promise<void> {
    const cluster = changeCluster(`Take away the routes of ${this.target.host}`, this.waits.undoMs);
    await cluster.removeObjects({ objects: [routeRef(this.target, 'DestinationRule')] });
  }

  letMachinesGo(): Promise<void> {
    return Promise.resolve();
  }

  private async write(summary: string, weight: number, push = this.writes.nextPush()): Promise<void> {
    await changeCluster(summary, this.waits.changeMs).applySubsets({ target: this.target, weight, push });
  }
}
