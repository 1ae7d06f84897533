/** The sides of a Service by its routes: subsets of it that a DestinationRule names. */
import type { ObjectRef } from '../activities/ports/cluster-port.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import { changeCluster, readCluster } from './activity-proxies.ts';
import type { CutoverPlan } from './cutover.ts';
import type { MigrationWaits } from './messages.ts';
import { routeRef } from './plan/cutover-steps.ts';
import type { ProvenWrites } from './proven-writes.ts';
import type { Sides } from './sides.ts';

export class SubsetSides implements Sides {
  private readonly target: CutoverTarget;
  private readonly writes: ProvenWrites;
  private readonly waits: Required<MigrationWaits>;
  /** As they were written last, whether or not every client has acknowledged it. */
  private writtenAt = 0;

  constructor({ target }: Pick<CutoverPlan, 'target'>, writes: ProvenWrites, waits: Required<MigrationWaits>) {
    this.target = target;
    this.writes = writes;
    this.waits = waits;
  }

  async name(): Promise<void> {
    await this.settle(0);
  }

  before(): Promise<void> {
    return Promise.resolve();
  }

  /** TCP changes sides as a whole. */
  async after(weight: number): Promise<void> {
    const isTcp = this.target.ports.some(({ protocol }) => protocol === 'tcp');
    if (isTcp && (weight === 100) !== (this.writtenAt === 100)) await this.settle(weight);
  }

  async rewrite(weight: number): Promise<void> {
    await this.write(`Name the two sides of ${this.target.host} again`, weight);
  }

  async holds(): Promise<void> {
    const { host, ports } = this.target;
    const cluster = readCluster(`See that no proxy goes past the guard of ${host}`, this.waits.routedMs);
    await cluster.verifyGuarded({ host, ports: ports.map(({ port }) => port) });
  }

  async haveEndpoints(addresses: readonly string[], weight: number): Promise<void> {
    const { host } = this.target;
    const cluster = readCluster('Wait until every istiod gives the pods out', this.waits.routedMs);
    const seen = await cluster.verifyOffered({ host, addresses });
    await this.writes.beforeProof();
    await this.write(`Push the endpoints of ${host} once more`, weight);
    await this.writes.acknowledged(host, ['cds', 'eds'], seen);
  }

  async pushAgain(): Promise<void> {
    await changeCluster(`Take away the routes of ${this.target.host}`, this.waits.undoMs).applySubsets({
      ...{ target: this.target, weight: 0, push: this.writes.nextPush() },
    });
  }

  async takeAway(): Promise<void> {
    const cluster = changeCluster(`Take away the routes of ${this.target.host}`, this.waits.undoMs);
    await cluster.removeObjects({ objects: [routeRef(this.target, 'DestinationRule')] });
  }

  letMachinesGo(): Promise<void> {
    return Promise.resolve();
  }

  private async settle(weight: number): Promise<void> {
    const { host } = this.target;
    this.writtenAt = weight;
    await this.writes.settle(
      'DestinationRule',
      { host, types: ['cds', 'eds'] },
      async (push): Promise<readonly ObjectRef[]> => {
        await this.write(`Name the two sides of ${host}`, weight, push);
        return [routeRef(this.target, 'DestinationRule')];
      },
    );
  }

  private async write(summary: string, weight: number, push = this.writes.nextPush()): Promise<void> {
    await changeCluster(summary, this.waits.changeMs).applySubsets({ target: this.target, weight, push });
  }
}
