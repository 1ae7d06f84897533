/**
 * Writes of a migration that are seen at every client before anything rests on them. A write is seen at every istiod, made once more so
 * that a push follows that is later than that, and acknowledged by every client of the Service (protocols 2, 8). Where the
 * clients' own questions to istiod show that each has taken the first push, no proxy of the mesh has to take a second one.
 */
import { sleep, workflowInfo } from '@temporalio/workflow';

import type { ObjectRef } from '../activities/ports/cluster-port.ts';
import type { PushType } from '../activities/ports/mesh-port.ts';
import { type ClusterActivities, readCluster } from './activity-proxies.ts';
import { isSeen } from './look-again.ts';
import type { MigrationWaits } from './messages.ts';
import type { SeenDraining } from './plan/drain-proof.ts';

/** A push takes a second or two; where it was not seen by then the second one tells more of who is late. */
const SHOWN_MS = 10_000;

/** What istiod pushes to clients of a host. */
interface Pushed {
  readonly host: string;
  readonly types: readonly PushType[];
  /** Endpoints matter to those alone that ask for some of these subsets; absent: to every client. */
  readonly subsets?: readonly string[];
}

export class ProvenWrites {
  private readonly waits: Required<MigrationWaits>;
  private pushes = 0;

  constructor(waits: Required<MigrationWaits>) {
    this.waits = waits;
  }

  /** `shown`: throws until each client shows that it has taken the first push. */
  async settle(
    what: string,
    pushed: Pushed,
    write: (push: string) => Promise<readonly ObjectRef[]>,
    shown?: (cluster: ClusterActivities) => Promise<void>,
  ): Promise<void> {
    const seen = await this.held(what, write);
    if (shown !== undefined && (await this.isShown(pushed.host, shown))) return;
    await this.beforeProof();
    await write(this.nextPush());
    await this.acknowledged(pushed, seen);
  }

  /** Written, and held by every istiod as it was written. */
  async held(what: string, write: (push: string) => Promise<readonly ObjectRef[]>): Promise<readonly SeenDraining[]> {
    const push = this.nextPush();
    const refs = await write(push);
    const cluster = readCluster(`Wait until every istiod holds the ${what}`, this.waits.routedMs);
    return await cluster.verifyHeld({ refs, push });
  }

  private async isShown(host: string, shown: (cluster: ClusterActivities) => Promise<void>): Promise<boolean> {
    const cluster = readCluster(`Wait until every client of ${host} shows that it has taken it`, SHOWN_MS);
    return await isSeen(() => shown(cluster));
  }

  async acknowledged(pushed: Pushed, seen: readonly SeenDraining[]): Promise<void> {
    const cluster = readCluster(`Wait until every client of ${pushed.host} has taken it`, this.waits.routedMs);
    await cluster.verifyPushed({ ...pushed, seen });
  }

  /** istiod's times have whole seconds: what it pushes for the second write is later than what it said of the first. */
  async beforeProof(): Promise<void> {
    await sleep('1s', { summary: 'Before the push that proves' });
  }

  nextPush(): string {
    this.pushes += 1;
    return `${workflowInfo().runId}.${this.pushes}`;
  }
}
