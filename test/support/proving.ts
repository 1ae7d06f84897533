/** A workflow that proves writes as a migration does, with activities that say what they are told to. */
import { proxyActivities } from '@temporalio/workflow';

import type { WrittenObjects } from '../../activities/timed-write.ts';
import { migrationWaits } from '../../workflows/activity-proxies.ts';
import { ProvenWrites } from '../../workflows/proven-writes.ts';

export interface ProvingActivities {
  write(input: { push: string; isTimed: boolean }): Promise<WrittenObjects>;
  writeAgain(input: { push: string }): Promise<void>;
}

export interface Proving {
  readonly isRemoval?: boolean;
  readonly mayWait?: boolean;
  readonly isAsked?: boolean;
}

const host = 'orders.shop.svc.cluster.local';
const act = proxyActivities<ProvingActivities>({ startToCloseTimeout: '10s' });

/** One after the other. */
export async function proving(writes: readonly Proving[]): Promise<void> {
  const proven = new ProvenWrites(migrationWaits);
  for (const { isAsked = false, ...more } of writes) {
    await proven.settle({
      ...{ what: 'VirtualService', pushed: { host, types: ['rds'] }, ...more },
      make: (push, isTimed) => act.write({ push, isTimed }),
      again: (push) => act.writeAgain({ push }),
      ...(isAsked ? { shown: (cluster) => cluster.verifyAsked({ host, subsets: ['machines'], areNew: true }) } : {}),
    });
  }
}
