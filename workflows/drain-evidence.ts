/** The waits of a drain: proof that no client holds the machine any more, and that none is served by it (protocols 2 and 3). */
import { ActivityFailure, ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';

import type { HostStep } from '../activities/host.ts';
import { lookOnce, readCluster, readHost } from './activity-proxies.ts';
import { lookAgain } from './look-again.ts';
import { stoodStill } from './plan/drain-proof.ts';
import { drainValue } from './plan/drain-value.ts';

/** What one look may take, also when the time is over. */
const LOOK_MS = 20_000;

export interface MachineEntry {
  readonly namespace: string;
  readonly workloadGroup: string;
  readonly address: string;
}

export interface DrainingMachine {
  readonly id: string;
  readonly on: HostStep;
  readonly entry: MachineEntry;
}

type Evidence = ReturnType<typeof readCluster>;

/** Milliseconds until then, at least what a look takes. */
export const leftMs = (until: number): number => Math.max(until - Date.now(), LOOK_MS);

/** Waits until every client has acknowledged a push that came after the machine drained, and none of them calls it. */
export async function untilProven(
  { id, on, entry }: DrainingMachine,
  until: number,
  labelAgain: () => Promise<unknown>,
): Promise<void> {
  const { namespace, address } = entry;
  const { name: machine, operation } = on;
  const value = drainValue(operation);
  const { hosts, seen } = await untilSeen(`Wait until every istiod holds ${value}`, until, (cluster) =>
    cluster.verifyLabelSeen({ namespace, machine, address, value }),
  );
  if (hosts.length === 0) return;
  // istiod's times have whole seconds: what it pushes for the second label is later than what it said of the first.
  await sleep('1s', { summary: 'Before the push that proves' });
  await labelAgain();
  const { meshAddresses } = await untilSeen(
    `Wait until every client has acknowledged that ${address} is gone`,
    until,
    (cluster) => cluster.verifyAcknowledged({ namespace, machine, hosts, seen }),
  );
  for (;;) {
    const traffic = await readHost(`See whether anybody still calls ${id}`, leftMs(until)).watchTraffic(on);
    if (stoodStill(traffic, meshAddresses)) return;
    if (Date.now() < until) continue;
    const message = `Requests from the mesh still come to ${id} after every client acknowledged that it is gone; see its access log`;
    throw ApplicationFailure.nonRetryable(message, 'DrainUnproven');
  }
}

/** How many requests and connections outlast the deadline; a count may take `countMs`. */
export async function untilQuiet({ id, on }: DrainingMachine, deadlineMs: number, countMs: number): Promise<number> {
  try {
    const { active } = await readHost(`Wait until requests to ${id} have ended`, deadlineMs).verifyQuiet(on);
    return active;
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const { active } = await readHost(`Count what still goes on at ${id}`, countMs).watchTraffic(on);
    return active;
  }
}

/** Evidence of the cluster, waited for until the deadline; where that left no time for a whole look, one gets the time it takes. */
function untilSeen<T>(summary: string, until: number, look: (cluster: Evidence) => Promise<T>): Promise<T> {
  const totalMs = Math.max(until - Date.now(), 1_000);
  return lookAgain(
    totalMs,
    () => look(readCluster(summary, totalMs)),
    () => look(lookOnce(summary, LOOK_MS)),
  );
}
