/** Queries of a migration's analysis: as the store of metrics is asked them, and what its answers say. */
import type { CreateMigration, MetricQuery } from '../../api/schemas/migration.ts';
import { deploymentOf } from './migration-target.ts';
import type { Verdict } from './cutover-analysis.ts';

/** A query as the store is asked it, of pods and, where it compares, of machines. */
export interface AskedQuery {
  readonly pods: string;
  readonly machines?: string;
}

/** What it answered; null where it had no sample. */
export interface MetricValues {
  readonly pods: number | null;
  readonly machines: number | null;
}

/** The names in braces filled in, over a window of so many seconds; a name that stands for nothing stays. */
export function askedQueries(request: CreateMigration, windowSeconds: number): readonly AskedQuery[] {
  const { namespace, service, workloadGroup, target } = request;
  const values: Record<Placeholder, string> = {
    ...{ namespace, service, workloadGroup, deployment: deploymentOf(target) },
    window: `${Math.max(1, Math.round(windowSeconds))}s`,
  };
  const fill = (text: string): string =>
    text.replaceAll(placeholder, (whole, name: string) => (isKnown(name) ? values[name] : whole));
  return queriesOf(request).map(({ query, machinesQuery }) => ({
    pods: fill(query),
    ...(machinesQuery === undefined ? {} : { machines: fill(machinesQuery) }),
  }));
}

export const queriesOf = ({ analysis }: CreateMigration): readonly MetricQuery[] => analysis?.queries ?? [];

const placeholders = ['namespace', 'service', 'workloadGroup', 'deployment', 'window'] as const;
type Placeholder = (typeof placeholders)[number];
const placeholder = /\{\{\s*(\w+)\s*\}\}/g;
const isKnown = (name: string): name is Placeholder => placeholders.some((known) => known === name);

/** What is wrong with a query by itself; undefined where nothing is. */
export function faultOf({
  name,
  query,
  machinesQuery = '',
  atLeast,
  atMost,
  maxRatio,
}: MetricQuery): string | undefined {
  const unknown = [...`${query} ${machinesQuery}`.matchAll(placeholder)]
    .map(([, text = '']) => text)
    .find((text) => !isKnown(text));
  if (unknown !== undefined) return `query ${name} holds {{${unknown}}}: there are ${placeholders.join(', ')}`;
  if (atLeast === undefined && atMost === undefined && maxRatio === undefined) {
    return `query ${name} has no limit: give atLeast, atMost or maxRatio`;
  }
  if ((maxRatio === undefined) !== (machinesQuery === '')) {
    return `query ${name} needs maxRatio and machinesQuery together`;
  }
  return undefined;
}

/** One failure is enough; to pass, every query must have answered. */
export function judgeQueries(queries: readonly MetricQuery[], values: readonly MetricValues[]): Verdict {
  const found = queries.map((query, index) => judgeQuery(query, values[index] ?? { pods: null, machines: null }));
  const failed = found.find(({ kind }) => kind === 'Failed');
  const inconclusive = found.find(({ kind }) => kind === 'Inconclusive');
  return failed ?? inconclusive ?? { kind: 'Passed', message: found.map(({ message }) => message).join('; ') };
}

function judgeQuery({ name, atLeast, atMost, maxRatio }: MetricQuery, { pods, machines }: MetricValues): Verdict {
  if (pods === null) return { kind: 'Inconclusive', message: `Query ${name} has no sample of pods yet` };
  const is = `${name} of pods is ${text(pods)}`;
  if (atLeast !== undefined && pods < atLeast)
    return { kind: 'Failed', message: `${is}, ${text(atLeast)} is the least` };
  if (atMost !== undefined && pods > atMost) return { kind: 'Failed', message: `${is}, ${text(atMost)} is the most` };
  // Machines that serve nothing any more are nothing to compare with.
  if (maxRatio !== undefined && machines !== null && machines > 0 && pods > machines * maxRatio) {
    return {
      kind: 'Failed',
      message: `${is}, of machines ${text(machines)}: ${text(maxRatio)} times that is the most`,
    };
  }
  return { kind: 'Passed', message: is };
}

const text = (value: number): string => String(Number(value.toPrecision(4)));
