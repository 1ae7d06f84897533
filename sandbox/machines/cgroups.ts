/**
 * Cgroups of a machine, apart from all others': nspawn keeps a machine's units below the group it is started in. On a host
 * with cgroup v1 these are the groups of systemd's own hierarchy, of the unified one and of processor time, elsewhere the unified
 * one alone.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

import { weighAsHost } from '../processor-time.ts';

/** Where the machine's groups lie; they need not exist. */
export function cgroupsOf(machine: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2 | - cgroup .*[ ,](name=systemd|cpu)(,|$)/.test(line))
    .map((line) => join(line.split(' ')[4] ?? '', `meshlift-machine-${machine}`));
}

export function makeCgroups(groups: readonly string[]): void {
  for (const group of groups) {
    mkdirSync(group, { recursive: true });
    weighAsHost(group);
  }
}

/** Process ids in the groups and all groups below. */
export const processesIn = (groups: readonly string[]): number[] => [
  ...new Set(
    groups
      .flatMap(withGroupsBelow)
      .flatMap((group) => readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n'))
      .filter((line) => line !== '' && line !== '0')
      .map(Number),
  ),
];

/** The process that is pid 1 inside the machine, while it runs. */
export function initOf(groups: readonly string[]): number | undefined {
  for (const group of groups) {
    const file = join(group, 'payload', 'init.scope', 'cgroup.procs');
    if (!existsSync(file)) continue;
    const first = readFileSync(file, 'utf8')
      .split('\n')
      .find((pid) => pid !== '' && isInit(pid));
    if (first !== undefined) return Number(first);
  }
  return undefined;
}

/** Removes the groups, those below first; nothing may run in them any more. */
export function removeCgroups(groups: readonly string[]): void {
  for (const group of groups.flatMap(withGroupsBelow)) rmdirSync(group);
}

/** Deepest first. */
function withGroupsBelow(group: string): string[] {
  if (!existsSync(group)) return [];
  const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...below.flatMap((entry) => withGroupsBelow(join(group, entry.name))), group];
}

function isInit(pid: string): boolean {
  try {
    return /^NSpid:.*\t1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
