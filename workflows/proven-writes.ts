/**
 * Writes of a migration that are seen at every client before anything rests on them. A write is seen at every istiod, made once more so
 * that a push follows that is later than that, and acknowledged by every client of the Service (protocols 2, 8). Where the first push
 * proves it, no proxy of the mesh has to take a second one: by what clients ask istiod for, or as the write was timed so that its push
 * came later than it was seen.
 */
import { sleep, workflowInfo } from '@temporalio/workflow';

import type { ObjectRef } from '../activities/ports/cluster-port.ts';
import type { PushType } from '../activities/ports/mesh-port.ts';
import type { WrittenObjects } from '../activities/timed-write.ts';
import { type ClusterActivities, readCluster } from './activity-proxies.ts';
import { isSeen } from './look-again.ts';
import type { MigrationWaits } from './messages.ts';
import type { Sighting } from './plan/drain-proof.ts';

/** A push takes a second or two; where it was not seen by then the second one tells more of who is late. */
const SHOWN_MS = 10_000;

/** What istiod pushes to clients of a host. */
interface Pushed {
  readonly host: string;
  readonly types: readonly PushType[];
  /** Endpoints matter to those alone that ask for some of these subsets; absent: to every client. */
  readonly subsets?: readonly string[];
}

interface Write {
  readonly what: string;
  readonly pushed: Pushed;
  /** Marks what it writes with `push`. `isTimed`: shortly before a second ends, so that its first push may prove it. */
  readonly make: (push: string, isTimed: boolean) => Promise<WrittenObjects>;
  /** What makes istiod push once more. */
  readonly again: (push: string) => Promise<unknown>;
  /** It is held once nothing is. */
  readonly isRemoval?: boolean;
  /** Nothing waits for it, so `make` may be timed; default: it is written at once. */
  readonly mayWait?: boolean;
  /** Throws until each client shows by itself that it has taken the first push. */
  readonly shown?: (cluster: ClusterActivities) => Promise<void>;
}

export class ProvenWrites {
  private readonly waits: Required<MigrationWaits>;
  private pushes = 0;
  /** Until a write that was timed was not shown in time, as where a clock of an istiod is off. */
  private isTimed = true;

  constructor(waits: Required<MigrationWaits>) {
    this.waits = waits;
  }

  async settle({ what, pushed, make, again, isRemoval = false, mayWait = false, shown }: Write): Promise<void> {
    const push = this.nextPush();
    const { refs, seen } = await make(push, this.isTimed && mayWait);
    const held = seen ?? (await this.heldBy(what, refs, isRemoval ? null : push));
    if (shown !== undefined && (await this.isShown(pushed.host, shown))) return;
    await this.forPushes();
    if (seen !== undefined) {
      if (await this.isShown(pushed.host, (cluster) => cluster.verifyPushed({ ...pushed, seen }))) return;
      this.isTimed = false;
    }
    await again(this.nextPush());
    await this.acknowledged(pushed, held);
  }

  /** Written, and held by every istiod as it was written. */
  async held(what: string, write: (push: string) => Promise<readonly ObjectRef[]>): Promise<readonly Sighting[]> {
    const push = this.nextPush();
    return await this.heldBy(what, await write(push), push);
  }

  private async heldBy(what: string, refs: readonly ObjectRef[], push: string | null) {
    const until =
      push === null ? `Wait until no istiod holds the ${what}` : `Wait until every istiod holds the ${what}`;
    return await readCluster(until, this.waits.routedMs).verifyHeld({ refs, push });
  }

  private async isShown(host: string, shown: (cluster: ClusterActivities) => Promise<void>): Promise<boolean> {
    const cluster = readCluster(`Wait until every client of ${host} shows that it has taken it`, SHOWN_MS);
    return await isSeen(() => shown(cluster));
  }

  async acknowledged(pushed: Pushed, seen: readonly Sighting[]): Promise<void> {
    const cluster = readCluster(`Wait until every client of ${pushed.host} has taken it`, this.waits.routedMs);
    await cluster.verifyPushed({ ...pushed, seen });
  }

  /**
   * istiod's times have whole seconds: what it pushes for a second write is later than what it said of the first. And what it holds it may
   * have yet to take into what it pushes [a queue of its own: pilot/pkg/model/virtualservice_controller.go].
   */
  async forPushes(): Promise<void> {
    await sleep('1s', { summary: 'Until what it holds is what it pushes' });
  }

  nextPush(): string {
    this.pushes += 1;
    return `${workflowInfo().runId}.${this.pushes}`;
  }
}
