/** Undoes one recorded item. An item that never came to be, or is gone already, is undone. */
import { existsSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './exec.ts';
import { iptables, sysctlFile } from './network.ts';
import { isAlive, killAll } from './processes.ts';
import type { Item } from './state.ts';
import { waitFor } from './wait.ts';

export async function undo(item: Item): Promise<void> {
  switch (item.kind) {
    case 'process':
      if (isAlive(item)) await killAll([item.pid]);
      return;
    case 'mount':
      // Mounts go together, deepest first, see unmountUnder.
      return;
    case 'link':
      if (existsSync(`/sys/class/net/${item.name}`)) await run('ip', ['link', 'delete', item.name]);
      return;
    case 'rule':
      if (await isThere(['-t', item.table, '-C', item.chain, ...item.rule]))
        await iptables(['-t', item.table, '-D', item.chain, ...item.rule]);
      return;
    case 'chain':
      if (await isThere(['-t', item.table, '-S', item.chain])) {
        await iptables(['-t', item.table, '-F', item.chain]);
        await iptables(['-t', item.table, '-X', item.chain]);
      }
      return;
    case 'sysctl':
      writeFileSync(sysctlFile(item.key), item.before);
      return;
    case 'cgroup':
      await removeCgroup(item.path);
      return;
    case 'path':
      rmSync(item.path, { recursive: true, force: true });
      return;
  }
}

const isThere = async (args: readonly string[]): Promise<boolean> =>
  await iptables(args).then(
    () => true,
    () => false,
  );

/** Children first; the kernel may hold a cgroup for a moment after its last process is gone. */
async function removeCgroup(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const child of children) await removeCgroup(join(path, child.name));
  await waitFor(
    { what: `cgroup ${path} to be empty`, timeoutMs: 10_000, everyMs: 50, see: join(path, 'cgroup.procs') },
    () => {
      if (existsSync(path)) rmdirSync(path);
      return true;
    },
  );
}
