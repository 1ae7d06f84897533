/** The three shells that a machine's sh may be; busybox brings its own tools as well, so that nothing GNU slips in. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { beforeAll } from '@jest/globals';

import { ensurePart } from '../../sandbox/cache.ts';

const execute = promisify(execFile);

export type ShellName = 'dash' | 'bash' | 'busybox';

/** Busybox is fetched the first time, which takes longer than a test may. */
export function fetchBefore(shell: ShellName): void {
  beforeAll(async () => {
    await runShell(shell, 'true');
  }, 120_000);
}

/** Runs a script as `sh -c` does on a machine; fails with its standard error. */
export async function runShell(shell: ShellName, script: string, args: readonly string[] = []): Promise<string> {
  const tools = shell === 'busybox' ? await busyboxFolder() : undefined;
  const program = tools === undefined ? shell : join(tools, 'sh');
  const env = tools === undefined ? process.env : { PATH: tools };
  const { stdout } = await execute(program, ['-c', script, 'meshlift', ...args], { env });
  return stdout;
}

/** A folder with every applet by its name, from Debian's static build, fetched once with apt's own checks. */
async function busyboxFolder(): Promise<string> {
  const root = await ensurePart({
    name: 'busybox',
    key: 'debian-static',
    build: async (into) => {
      const apt = async (...args: string[]) => await execute('apt-get', args, { cwd: into });
      await apt('download', '-q', 'busybox-static').catch(async () => {
        await apt('update', '-q');
        await apt('download', '-q', 'busybox-static');
      });
      for (const deb of readdirSync(into)) await execute('dpkg-deb', ['-x', join(into, deb), into]);
      const bin = join(into, 'applets');
      mkdirSync(bin);
      const { stdout } = await execute(join(into, 'bin', 'busybox'), ['--list']);
      for (const applet of stdout.trim().split('\n')) await execute('ln', ['-s', '../bin/busybox', join(bin, applet)]);
    },
  });
  return join(root, 'applets');
}
