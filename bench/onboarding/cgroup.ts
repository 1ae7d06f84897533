/** Processor time of a group of processes and everything they start, whoever waits for them. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Group {
  readonly path: string;
  /** Seconds of processor time so far. */
  readonly cpuSeconds: () => number;
}

export const openGroup = (path: string): Group => ({
  path,
  cpuSeconds: () => Number(/^usage_usec (\d+)/m.exec(readFileSync(join(path, 'cpu.stat'), 'utf8'))?.[1] ?? 0) / 1e6,
});

/** Makes groups of the unified hierarchy, which hosts with cgroup v1 mostly have as well; answers their paths. */
export function makeGroups(names: readonly string[]): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const unified = mounts.find((line) => line.includes(' - cgroup2 '))?.split(' ')[4];
  if (unified === undefined) {
    throw new Error('No cgroup2 is mounted, and by no other way is the processor time of other processes known');
  }
  const paths = names.map((name) => join(unified, `meshlift-bench-${process.pid}-${name}`));
  for (const path of paths) mkdirSync(path, { recursive: true });
  return paths;
}

/** Removes them once their last processes, which are killed already, are gone. */
export async function removeGroups(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    for (let left = 100; left > 0; left--) {
      try {
        rmdirSync(path);
        break;
      } catch {
        await delay(50);
      }
    }
  }
}
