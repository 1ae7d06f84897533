/** Who gets the processors of this host first, where they are short. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Ten times what a process or a group has otherwise: with more, a worker may not answer while several machines install. */
const weights = [
  ['cpu.weight', '1000'],
  ['cpu.shares', '10240'],
] as const;

/**
 * The node's pods as a whole, and each machine, stand for a host of their own: what runs beside them here (Temporal, the worker,
 * kubelet, containerd and the API server) would take nothing of their time elsewhere. `group` is a folder of a cgroup hierarchy;
 * one without the controller is left as it is.
 */
export function weighAsHost(group: string): void {
  for (const [file, weight] of weights) {
    const path = join(group, file);
    if (existsSync(path)) writeFileSync(path, weight);
  }
}
