/** Whether pods serve as well as machines: one verdict over one window, from what the proxies of both sides counted. */
import type { SideCounts } from '../../api/schemas/cutover.ts';
import type { Analysis } from '../../api/schemas/migration.ts';

/** What the proxies of one side have counted since they started, by proxy: a restarted one begins at 0 again. */
export type Counters = Readonly<Record<string, ProxyCounters>>;

export interface ProxyCounters {
  readonly requests: number;
  readonly failed: number;
  /** Of all answers together; absent where the proxy keeps no such histogram. */
  readonly totalMs?: number;
}

export type Verdict =
  | { readonly kind: 'Passed'; readonly message: string }
  | { readonly kind: 'Failed'; readonly message: string }
  /** Too little was seen: more may come. */
  | { readonly kind: 'Inconclusive'; readonly message: string };

export const defaultAnalysis = {
  minRequests: 100,
  successRate: 0.99,
  maxSuccessDrop: 0.01,
  maxLatencyRatio: 2,
  onInconclusive: 'wait',
} as const satisfies Analysis;

/** Means below this are told apart by nothing but the machine that measures. */
const LATENCY_FLOOR_MS = 5;

/** What was counted between two looks. A proxy that was not there at the first began at 0, as did one that has restarted since. */
export function countsBetween(before: Counters, after: Counters): SideCounts {
  let [requests, failed, totalMs, timed] = [0, 0, 0, 0];
  for (const [proxy, now] of Object.entries(after)) {
    const then = before[proxy];
    const since = then !== undefined && then.requests <= now.requests ? then : { requests: 0, failed: 0, totalMs: 0 };
    const came = now.requests - since.requests;
    requests += came;
    failed += Math.max(0, now.failed - since.failed);
    if (now.totalMs !== undefined) {
      totalMs += Math.max(0, now.totalMs - (since.totalMs ?? 0));
      timed += came;
    }
  }
  return { requests, failed, ...(timed > 0 ? { meanMs: totalMs / timed } : {}) };
}

export function judge(asked: Analysis, { machines, pods }: { machines: SideCounts; pods: SideCounts }): Verdict {
  const limits: Limits = { ...defaultAnalysis, ...asked };
  const failed = [tooManyFail(limits, machines, pods), tooSlow(limits, machines, pods)].filter((found) => found !== '');
  // What fails already does not get better by more of it; one failure of a handful says nothing yet.
  if (pods.requests < limits.minRequests) {
    return {
      kind: 'Inconclusive',
      message: `${pods.requests} of the ${limits.minRequests} requests to judge by came to pods`,
    };
  }
  if (failed.length > 0) return { kind: 'Failed', message: failed.join('; ') };
  return {
    kind: 'Passed',
    message: `${percent(shareOf(pods))} of ${pods.requests} requests to pods succeeded${ofMachines(machines)}`,
  };
}

type Limits = Analysis & Required<Pick<Analysis, keyof typeof defaultAnalysis>>;

function tooManyFail(
  { minRequests, successRate, maxSuccessDrop }: Limits,
  machines: SideCounts,
  pods: SideCounts,
): string {
  const share = shareOf(pods);
  if (share < successRate) {
    return `${pods.failed} of ${pods.requests} requests to pods failed: ${percent(share)} succeeded, ${percent(successRate)} must`;
  }
  if (machines.requests >= minRequests && share < shareOf(machines) - maxSuccessDrop) {
    return `${percent(share)} of the requests to pods succeeded, and ${percent(shareOf(machines))} of those to machines`;
  }
  return '';
}

function tooSlow(
  { minRequests, maxLatencyMs, maxLatencyRatio }: Limits,
  machines: SideCounts,
  pods: SideCounts,
): string {
  if (pods.meanMs === undefined) return '';
  const mean = `pods answer in ${ms(pods.meanMs)} on average`;
  if (maxLatencyMs !== undefined && pods.meanMs > maxLatencyMs) return `${mean}, ${ms(maxLatencyMs)} is allowed`;
  if (machines.meanMs === undefined || machines.requests < minRequests) return '';
  const allowed = Math.max(machines.meanMs, LATENCY_FLOOR_MS) * maxLatencyRatio;
  return pods.meanMs > allowed ? `${mean}, machines in ${ms(machines.meanMs)}: ${ms(allowed)} is allowed` : '';
}

const shareOf = ({ requests, failed }: SideCounts): number => (requests === 0 ? 1 : 1 - failed / requests);
const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const ofMachines = (machines: SideCounts): string =>
  machines.requests === 0 ? '' : `, and ${percent(shareOf(machines))} of ${machines.requests} to machines`;
