/** Power of a machine: its boot, its hard stop, and waiting until it answers. What it has on disk is not touched here. */
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { run, type Ran } from '../exec.ts';
import { machineNetworks, paths } from '../layout.ts';
import { machineToolsFolder } from '../parts/debian.ts';
import { isAlive, killAll, logFile, start } from '../processes.ts';
import { machineProcess, record, type MachineRecord } from '../state.ts';
import { waitFor, yes } from '../wait.ts';
import { cgroupsOf, initOf, makeCgroups, processesIn, removeCgroups } from './cgroups.ts';
import { currentState, forgetProcess } from './records.ts';
import { rootFilesystem } from './root.ts';

/** What boot.sh mounts over, in its own mount namespace. */
const covered = '/run/systemd';
export const folderOf = (machine: string): string => join(paths.machines, machine);
const logOf = (machine: string): string => logFile(machineProcess(machine));

/** The process that is pid 1 inside the machine; `undefined` while it is off. */
export const runningInit = (machine: string): number | undefined => initOf(cgroupsOf(machine));
export const isOn = (machine: string): boolean => runningInit(machine) !== undefined;

export async function boot(machine: MachineRecord): Promise<void> {
  const [root, tools] = await Promise.all([rootFilesystem(), machineToolsFolder()]);
  const groups = cgroupsOf(machine.name);
  for (const path of groups) record({ kind: 'cgroup', path });
  makeCgroups(groups);
  if (!existsSync(covered)) record({ kind: 'path', path: covered });
  mkdirSync(covered, { recursive: true });
  const { bridge } = machineNetworks[machine.network];
  const script = join(import.meta.dirname, 'boot.sh');
  const own = [machine.name, folderOf(machine.name), root, tools, bridge, ...groups];
  start({
    name: machineProcess(machine.name),
    file: 'unshare',
    args: ['--mount', '--propagation', 'slave', 'sh', script, ...own],
  });
}

/** Ends everything that runs in the machine at once, as a pulled plug does. What is off already stays off. */
export async function cutPower(machine: string): Promise<void> {
  const groups = cgroupsOf(machine);
  const items = currentState().items.filter((item) => item.kind === 'process' && item.name === machineProcess(machine));
  const launchers = items.flatMap((item) => (item.kind === 'process' && isAlive(item) ? [item.pid] : []));
  await killAll([...launchers, ...processesIn(groups)]);
  // The kernel takes its time to remove it, and the next boot makes one of the same name.
  await unplug(machine);
  await waitFor(
    { what: `the cgroups of ${machine} to be empty`, timeoutMs: 5000, everyMs: 50, see: groups.join(', ') },
    () => {
      removeCgroups(groups);
      return true;
    },
  );
  forgetProcess(machine, groups);
}

/** Takes the machine off its network, both ends; one that has no link is off it. */
export async function unplug(machine: string): Promise<void> {
  await run('ip', ['link', 'delete', `vb-${machine}`]).catch(() => undefined);
}

/** Runs a command as root inside the machine, past SSH. */
export async function machineExec(name: string, argv: readonly string[]): Promise<Ran> {
  const init = runningInit(name);
  if (init === undefined) throw new Error(`Machine ${name} is off; see ${logOf(name)}`);
  const namespaces = ['--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd'];
  return await run('nsenter', ['--target', String(init), ...namespaces, '--', ...argv], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
  });
}

/** Resolves when a boot later than `before` lets users in; its other units may still start, or fail. */
export async function waitUntilOn(machine: MachineRecord, before?: number): Promise<void> {
  const what = `machine ${machine.name} to answer SSH on ${machine.address}:22`;
  await waitFor({ what, timeoutMs: 60_000, everyMs: 50, see: logOf(machine.name) }, async () => {
    const init = runningInit(machine.name);
    if (init === undefined || init === before || !(await answersSsh(machine))) return undefined;
    // pam_nologin turns users away until this file is gone.
    await machineExec(machine.name, ['test', '!', '-e', '/run/nologin']);
    return true;
  });
}

/** Resolves when systemd says that all units run. */
export async function waitUntilSettled({ name }: MachineRecord): Promise<void> {
  const what = `all units of machine ${name} to run`;
  await waitFor({ what, timeoutMs: 30_000, everyMs: 100, see: logOf(name) }, async () => {
    const { stdout } = await machineExec(name, ['systemctl', 'is-system-running', '--wait']);
    return yes(stdout.trim() === 'running');
  });
}

/** An inner machine's SSH is out of the host's reach: its own systemd is asked. */
async function answersSsh({ name, network, address }: MachineRecord): Promise<boolean> {
  if (network !== 'inner') return await greets(address);
  return (await machineExec(name, ['systemctl', 'is-active', 'ssh.service'])).stdout.trim() === 'active';
}

/** Whether sshd says its first line. */
async function greets(address: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port: 22, timeout: 1000 });
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', (data) => {
      settle(data.toString().startsWith('SSH-2.0'));
    });
    for (const event of ['error', 'timeout', 'close']) {
      socket.once(event, () => {
        settle(false);
      });
    }
  });
}
