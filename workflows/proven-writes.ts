/**
 * Writes of a migration that are seen at every client before anything rests on them. A write is seen at every istiod, made once more so
 * that a push follows that is later than that, and acknowledged by every client of the Service (protocols 2, 8).
 */
import { sleep, workflowInfo } from '@temporalio/workflow';

import type { ObjectRef } from '../activities/ports/cluster-port.ts';
import type { PushType } from '../activities/ports/mesh-port.ts';
import { readCluster } from './activity-proxies.ts';
import type { MigrationWaits } from './messages.ts';
import type { SeenDraining } from './plan/drain-proof.ts';

export class ProvenWrites {
  private readonly waits: Required<MigrationWaits>;
  private pushes = 0;

  constructor(waits: Required<MigrationWaits>) {
    this.waits = waits;
  }

  /** `types`: what istiod pushes to clients of the host for it. */
  async settle(
    what: string,
    { host, types }: { readonly host: string; readonly types: readonly PushType[] },
    write: (push: string) => Promise<readonly ObjectRef[]>,
  ): Promise<void> {
    const seen = await this.held(what, write);
    await this.beforeProof();
    await write(this.nextPush());
    await this.acknowledged(host, types, seen);
  }

  /** Written, and held by every istiod as it was written. */
  async held(what: string, write: (push: string) => Promise<readonly ObjectRef[]>): Promise<readonly SeenDraining[]> {
    const push = this.nextPush();
    const refs = await write(push);
    const cluster = readCluster(`Wait until every istiod holds the ${what}`, this.waits.routedMs);
    return await cluster.verifyHeld({ refs, push });
  }

  async acknowledged(host: string, types: readonly PushType[], seen: readonly SeenDraining[]): Promise<void> {
    const cluster = readCluster(`Wait until every client of ${host} has taken it`, this.waits.routedMs);
    await cluster.verifyPushed({ host, types, seen });
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
