/** Machines: each boots systemd on an overlay of its own over the shared root, on the bridge of its network. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { run, type Ran } from '../exec.ts';
import { machineNetworks, paths, type MachineNetwork } from '../layout.ts';
import { machineToolsFolder } from '../parts/debian.ts';
import { goBuild } from '../parts/go-builds.ts';
import { isAlive, killAll, logFile, start } from '../processes.ts';
import { record, type MachineRecord } from '../state.ts';
import { waitFor, yes } from '../wait.ts';
import { cgroupsOf, initOf, makeCgroups, processesIn, removeCgroups } from './cgroups.ts';
import { writeOwnFiles } from './own-files.ts';
import { currentState, enterIntoState, findMachine, leaveState } from './records.ts';
import { rootFilesystem } from './root.ts';
import { ensureSshKey, forgetHost, newKeyPair, trustHost } from './ssh-keys.ts';

/** What boot.sh mounts over, in its own mount namespace. */
const covered = '/run/systemd';
const processName = (machine: string): string => `machine-${machine}`;
const folderOf = (machine: string): string => join(paths.machines, machine);

export interface NewMachine {
  readonly name: string;
  readonly namespace: string;
  readonly network: MachineNetwork;
}

/** Makes and boots a machine; resolves when SSH answers and systemd says that all units run. */
export async function addMachine(wanted: NewMachine): Promise<MachineRecord> {
  const [root, tools, app] = await Promise.all([rootFilesystem(), machineToolsFolder(), goBuild('app')]);
  const loginKey = ensureSshKey();
  const machine = enterIntoState(wanted);
  const folder = folderOf(machine.name);
  const hostKey = newKeyPair(machine.name);
  await writeOwnFiles(join(folder, 'upper'), { ...machine, hostKey, loginKey, app: join(app, 'app') });
  for (const part of ['work', 'merged']) mkdirSync(join(folder, part));
  trustHost(machine.address, hostKey.public);
  boot(machine, root, tools);
  await waitUntilUp(machine, undefined);
  return machine;
}

/** Stops the machine at once and removes all of it. */
export async function removeMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  const groups = cgroupsOf(name);
  const items = currentState().items.filter((item) => item.kind === 'process' && item.name === processName(name));
  const launchers = items.flatMap((item) => (item.kind === 'process' && isAlive(item) ? [item.pid] : []));
  await killAll([...launchers, ...processesIn(groups)]);
  await waitFor(
    { what: `the cgroups of ${name} to be empty`, timeoutMs: 5000, everyMs: 50, see: groups.join(', ') },
    () => {
      removeCgroups(groups);
      return true;
    },
  );
  rmSync(folderOf(name), { recursive: true, force: true });
  rmSync(logFile(processName(name)), { force: true });
  forgetHost(machine.address);
  leaveState(name, processName(name), groups);
}

/** Reboots the machine in an orderly way; resolves when it is up again. */
export async function rebootMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  const before = initOf(cgroupsOf(name));
  await machineExec(name, ['systemctl', 'reboot']);
  await waitUntilUp(machine, before);
}

/** Runs a command as root inside the machine, past SSH. */
async function machineExec(name: string, argv: readonly string[]): Promise<Ran> {
  const init = initOf(cgroupsOf(findMachine(name).name));
  if (init === undefined) throw new Error(`Machine ${name} does not run; see ${logFile(processName(name))}`);
  return await run(
    'nsenter',
    ['--target', String(init), '--mount', '--uts', '--ipc', '--net', '--pid', '--root', '--wd', '--', ...argv],
    {
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    },
  );
}

function boot(machine: MachineRecord, root: string, tools: string): void {
  const groups = cgroupsOf(machine.name);
  for (const path of groups) record({ kind: 'cgroup', path });
  makeCgroups(groups);
  if (!existsSync(covered)) record({ kind: 'path', path: covered });
  mkdirSync(covered, { recursive: true });
  const bridge = machineNetworks[machine.network].bridge;
  const script = join(import.meta.dirname, 'boot.sh');
  const args = [
    '--mount',
    '--propagation',
    'slave',
    'sh',
    script,
    machine.name,
    folderOf(machine.name),
    root,
    tools,
    bridge,
    ...groups,
  ];
  start({ name: processName(machine.name), file: 'unshare', args });
}

async function waitUntilUp(machine: MachineRecord, before: number | undefined): Promise<void> {
  const see = logFile(processName(machine.name));
  await waitFor(
    { what: `machine ${machine.name} to answer SSH on ${machine.address}:22`, timeoutMs: 30_000, everyMs: 50, see },
    async () => {
      const init = initOf(cgroupsOf(machine.name));
      return yes(init !== undefined && init !== before && (await greets(machine.address)));
    },
  );
  await waitFor(
    { what: `all units of machine ${machine.name} to run`, timeoutMs: 30_000, everyMs: 100, see },
    async () => {
      const { stdout } = await machineExec(machine.name, ['systemctl', 'is-system-running', '--wait']);
      return yes(stdout.trim() === 'running');
    },
  );
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
    socket.once('error', () => {
      settle(false);
    });
    socket.once('timeout', () => {
      settle(false);
    });
    socket.once('close', () => {
      settle(false);
    });
  });
}
