/**
 * What a step of a migration must show while it stands, and before the next: what both sides answered, by the proxies' own counters
 * and by queries of a store of metrics.
 */
import { ActivityFailure, ApplicationFailure, isCancellation, sleep } from '@temporalio/workflow';

import type { SideCounts } from '../api/schemas/cutover.ts';
import type { Analysis } from '../api/schemas/migration.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import type { CutoverPlan, Gates } from './cutover.ts';
import { explainFailure } from './explain-failure.ts';
import type { LeadingRoutes } from './leading-routes.ts';
import type { MigrationWaits } from './messages.ts';
import type { OperationReport } from './operation.ts';
import { type Counters, countsBetween, defaultAnalysis, judge, type Verdict } from './plan/cutover-analysis.ts';
import { askedQueries, judgeQueries, queriesOf } from './plan/metric-queries.ts';

/** Between two looks at the counters of a step that has too few requests to judge by. */
const LOOK_AGAIN_MS = 10_000;
const LOOK_LATER = 1.1;
/**
 * Within a hold: so many looks, and not longer than this between two. A look is about 25 events of the workflow's history, of which it
 * may have 40,000: a hold of weeks looks no more often than so, and a wait of weeks every quarter of an hour.
 */
const LOOKS_IN_HOLD = 20;
const LOOK_AT_LEAST_MS = 300_000;
const MOST_LOOKS_IN_HOLD = 400;
const WAIT_AT_LEAST_MS = 900_000;

interface Evidence {
  readonly machines: SideCounts;
  readonly pods: SideCounts;
}

export interface Counted {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly machines: Counters;
  readonly pods: Counters;
}

export class Judging {
  private readonly report: OperationReport;
  private readonly plan: CutoverPlan;
  private readonly routes: LeadingRoutes;
  private readonly waits: Required<MigrationWaits>;
  private readonly gates: Pick<Gates, 'pause' | 'untilResumed'>;

  constructor(
    report: OperationReport,
    plan: CutoverPlan,
    routes: LeadingRoutes,
    waits: Required<MigrationWaits>,
    gates: Pick<Gates, 'pause' | 'untilResumed'>,
  ) {
    this.report = report;
    this.plan = plan;
    this.routes = routes;
    this.waits = waits;
    this.gates = gates;
  }

  /** What fails already is not held to its end. That it passes so far says nothing yet. */
  async hold(lengthMs: number, summary: string, before: Counted): Promise<void> {
    const until = Date.now() + lengthMs;
    const often = Math.min(Math.max(lengthMs / LOOKS_IN_HOLD, LOOK_AGAIN_MS), LOOK_AT_LEAST_MS);
    const every = Math.max(often, Math.ceil(lengthMs / MOST_LOOKS_IN_HOLD));
    for (let left = lengthMs; left > 0; left = until - Date.now()) {
      await this.routes.whileFollowed(() => sleep(Math.min(left, every), { summary }));
      if (Date.now() >= until || !this.isJudged()) continue;
      const evidence = await this.since(before);
      const { kind, message } = await this.verdict(evidence, before);
      if (kind !== 'Failed') continue;
      this.routes.note(evidence);
      throw ApplicationFailure.nonRetryable(message, 'AnalysisFailed');
    }
  }

  /** Waits for enough to judge by, unless told otherwise; a verdict is final. */
  async judge(before: Counted): Promise<void> {
    const analysis = this.analysis();
    for (let look = 0; this.isJudged(); look++) {
      const evidence = await this.since(before);
      const verdict = await this.verdict(evidence, before);
      this.routes.note(evidence);
      switch (verdict.kind) {
        case 'Passed':
          return;
        case 'Failed':
          throw ApplicationFailure.nonRetryable(verdict.message, 'AnalysisFailed');
        case 'Inconclusive':
          if (analysis.onInconclusive === 'rollback')
            throw ApplicationFailure.nonRetryable(verdict.message, 'AnalysisInconclusive');
          if (analysis.onInconclusive === 'pause') this.gates.pause(verdict.message);
          this.report.waitFor(verdict.message);
          await this.routes.whileFollowed(async () => {
            await this.gates.untilResumed();
            // The longer it waits, the less often it looks, so that a night without traffic is no long history.
            const againMs = Math.round(Math.min(WAIT_AT_LEAST_MS, LOOK_AGAIN_MS * LOOK_LATER ** look));
            await sleep(againMs, { summary: 'Until more was seen' });
          });
      }
    }
  }

  private isJudged(): boolean {
    return this.isCounted() || queriesOf(this.plan.request).length > 0;
  }

  /** Proxies count requests; of TCP there is nothing to judge by but that pods are ready, which is followed, and queries. */
  private isCounted(): boolean {
    return this.plan.target.ports.some(({ protocol }) => protocol === 'http');
  }

  /** By the proxies' counters, and where they say nothing against the pods by the queries. */
  private async verdict(evidence: Evidence, { at }: Counted): Promise<Verdict> {
    const counted: Verdict = this.isCounted() ? judge(this.analysis(), evidence) : { kind: 'Passed', message: '' };
    const { request } = this.plan;
    const queries = queriesOf(request);
    if (queries.length === 0 || counted.kind !== 'Passed') return counted;
    try {
      const metrics = readCluster('Ask Prometheus the queries of the analysis', this.waits.countMs);
      const asked = askedQueries(request, (Date.now() - at) / 1_000);
      return judgeQueries(queries, await metrics.queryMetrics({ queries: asked }));
    } catch (error) {
      if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
      // A store that is away says nothing, neither for the pods nor against them.
      return { kind: 'Inconclusive', message: explainFailure(error).message };
    }
  }

  private analysis(): Analysis {
    return { ...defaultAnalysis, ...this.plan.request.analysis };
  }

  private async since(before: Counted): Promise<Evidence> {
    const after = await this.count();
    // A machine that could not be asked at first would bring all that it ever counted.
    const machines = Object.fromEntries(Object.entries(after.machines).filter(([name]) => name in before.machines));
    return { machines: countsBetween(before.machines, machines), pods: countsBetween(before.pods, after.pods) };
  }

  async count(): Promise<Counted> {
    const { namespace } = this.plan.request;
    const { podSelector: labels } = this.plan.target;
    const cluster = readCluster('Read what pods have served', this.waits.countMs);
    const [machines, pods] = await Promise.all([this.countMachines(), cluster.readPodCounters({ namespace, labels })]);
    return { at: Date.now(), machines, pods };
  }

  /** A machine that cannot be asked is left out: one that is lost takes no traffic, and the pods are judged all the same. */
  async countMachines(): Promise<Counters> {
    const machines = this.plan.machines.map(({ namespace, name, host }) => ({ namespace, name, host }));
    const { readMachineCounters } = readHost(`Read what ${machines.length} machines have served`, this.waits.countMs);
    return await readMachineCounters({ machines });
  }
}
