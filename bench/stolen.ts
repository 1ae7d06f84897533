/** What the host of a virtual machine takes of its processors for others: it is in every figure, and no other process shows it. */
import { readFileSync } from 'node:fs';

/** Of the first line of /proc/stat, in ticks: user, nice, system, idle, iowait, irq, softirq and steal; guests are counted in user [proc_stat(5)]. */
const STEAL = 7;

/** Answers, whenever it is called, how many percent of the time of all processors were taken since. */
export function watchStolen(): () => number {
  const before = readTicks();
  return () => {
    const spent = readTicks().map((ticks, field) => ticks - (before[field] ?? 0));
    const all = spent.reduce((sum, ticks) => sum + ticks, 0);
    return Math.round(((spent[STEAL] ?? 0) / Math.max(all, 1)) * 100);
  };
}

function readTicks(): readonly number[] {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  return line
    .trim()
    .split(/\s+/)
    .slice(1, STEAL + 2)
    .map(Number);
}
