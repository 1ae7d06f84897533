/** What a benchmark says: its ratios beside their targets, the figures behind them, and what they were measured on. */
import { cpus, release, totalmem } from 'node:os';

import { watchStolen } from './stolen.ts';

export interface Ratio {
  readonly name: string;
  readonly value: number;
  readonly target: number;
  /** Whether a lower or a higher value is the better one. */
  readonly better: 'lower' | 'higher';
}

export interface BenchReport {
  readonly bench: string;
  readonly ratios: readonly Ratio[];
  readonly figures: Readonly<Record<string, unknown>>;
  readonly conditions: Readonly<Record<string, unknown>>;
}

export const isMet = ({ value, target, better }: Ratio): boolean =>
  better === 'lower' ? value <= target : value >= target;

const stolenPercent = watchStolen();

/** What every report says of the machine that it was made on, and of what its own host took of it meanwhile. */
export const host = (): Readonly<Record<string, unknown>> => ({
  cpus: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
  memoryGib: Math.round(totalmem() / 1024 ** 3),
  kernel: release(),
  node: process.version,
  stolenPercent: stolenPercent(),
  date: new Date().toISOString(),
});

export function renderReport({ ratios, figures, conditions }: BenchReport): string {
  const lines = ratios.map((ratio) => {
    const { name, value, target, better } = ratio;
    const bound = `${better === 'lower' ? 'at most' : 'at least'} ${target}`;
    return `${isMet(ratio) ? 'met   ' : 'missed'}  ${name.padEnd(26)} ${value.toFixed(3).padStart(9)}  (${bound})`;
  });
  const rest = [figures, conditions].flatMap((part) =>
    Object.entries(part).map(([name, value]) => `        ${name}: ${JSON.stringify(value)}`),
  );
  return [...lines, '', ...rest, ''].join('\n');
}
