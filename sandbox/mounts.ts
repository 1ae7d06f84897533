/** Mounts below a folder: those the sandbox made and those that kubelet, containerd and dead pods leave behind. */
import { readFileSync } from 'node:fs';

import { run } from './exec.ts';

/** Mount points in the text of /proc/self/mountinfo at or below the folder, deepest (and last made) first. */
export function mountsUnder(folder: string, mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeOctal(line.split(' ')[4] ?? ''))
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
    .toReversed();
}

/** Spaces and the like stand as \\040 in mountinfo. */
const unescapeOctal = (path: string): string =>
  path.replaceAll(/\\([0-7]{3})/g, (_match, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Unmounts everything at or below the folder. A busy one is detached: its users are processes that end beside it. */
export async function unmountUnder(folder: string): Promise<void> {
  for (const path of mountsUnder(folder, readFileSync('/proc/self/mountinfo', 'utf8'))) {
    await run('umount', [path]).catch(async () => await run('umount', ['--lazy', path]));
  }
}
