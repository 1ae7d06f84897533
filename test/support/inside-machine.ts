/** A machine's own console: root inside it, past SSH, for tests that break the way in. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import type { SandboxMachine } from '../../demo/sandbox-client.ts';
import { cgroupsOf, initOf } from '../../sandbox/machines/cgroups.ts';

const execute = promisify(execFile);
const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd'];

/** Where a path of the running machine is, seen from outside. */
export const pathInside = (machine: SandboxMachine, path: string): string => `/proc/${initIn(machine)}/root${path}`;

function initIn(machine: SandboxMachine): number {
  const init = initOf(cgroupsOf(machine.name));
  if (init === undefined) throw new Error(`Machine ${machine.name} does not run`);
  return init;
}

/** Runs a script of sh as root inside the machine; what it starts with setsid outlives it. */
export async function inside(machine: SandboxMachine, script: string): Promise<string> {
  const init = initIn(machine);
  const { stdout } = await execute('nsenter', ['--target', String(init), ...namespaces, '--', 'sh', '-c', script], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}
