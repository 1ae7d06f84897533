/**
 * The rules that kube-proxy leaves: all its chains carry one prefix. They are removed with what jumps into them, in one
 * transaction per table; `kube-proxy --cleanup` leaves the chains that it shares with the kubelet.
 */
import { join } from 'node:path';

import { run } from '../exec.ts';
import { nodeToolsFolder } from '../parts/debian.ts';

const prefix = 'KUBE-';

/** Input for `iptables-restore --noflush` that removes the chains which the text of `iptables-save` shows; empty when there are none. */
export function removalOf(saved: string): string {
  return saved
    .split('\n*')
    .map((table) => table.replace(/^\*/, '').split('\n'))
    .flatMap((lines) => removalOfTable(lines.find((line) => /^[a-z]+$/.test(line)) ?? '', lines))
    .join('\n');
}

function removalOfTable(table: string, lines: readonly string[]): string[] {
  const chains = lines.flatMap((line) => (line.startsWith(`:${prefix}`) ? [line.slice(1).split(' ')[0] ?? ''] : []));
  if (chains.length === 0) return [];
  const jumps = lines.filter(
    (line) => line.startsWith('-A ') && !line.startsWith(`-A ${prefix}`) && line.includes(` -j ${prefix}`),
  );
  return [
    `*${table}`,
    // Naming a chain empties it, so that none is removed while another still jumps to it.
    ...chains.map((chain) => `:${chain} - [0:0]`),
    ...jumps.map((rule) => rule.replace('-A', '-D')),
    ...chains.map((chain) => `-X ${chain}`),
    'COMMIT',
    '',
  ];
}

export async function removeServiceRules(): Promise<void> {
  const bin = join(await nodeToolsFolder(), 'bin');
  for (const family of ['iptables', 'ip6tables']) {
    const input = removalOf((await run(join(bin, `${family}-save`), [])).stdout);
    if (input !== '') await run(join(bin, `${family}-restore`), ['--noflush', '--wait'], { input });
  }
}
