/** Machines: each boots systemd on an overlay of its own over the shared root, on the bridge of its network. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { jumpHost } from '../layout.ts';
import { goBuild } from '../parts/go-builds.ts';
import { logFile } from '../processes.ts';
import { machineProcess, type MachineRecord } from '../state.ts';
import { writeOwnFiles } from './own-files.ts';
import {
  boot,
  cutPower,
  folderOf,
  isOn,
  machineExec,
  runningInit,
  unplug,
  waitUntilOn,
  waitUntilSettled,
} from './power.ts';
import { currentState, enterIntoState, findMachine, leaveState } from './records.ts';
import { ensureSshKey, forgetHost, newKeyPair, trustHost } from './ssh-keys.ts';

export type NewMachine = Omit<MachineRecord, 'address'>;

/** Makes and boots machines; resolves when SSH answers on each and systemd says that all its units run. */
export async function addMachines(wanted: readonly NewMachine[]): Promise<void> {
  const needsJump = wanted.some(({ network }) => network === 'inner') && !isThere(jumpHost.name);
  const jump: NewMachine = { name: jumpHost.name, namespace: '', network: 'direct', apps: [] };
  await Promise.all([...(needsJump ? [jump] : []), ...wanted].map(addMachine));
}

const isThere = (name: string): boolean => currentState().machines.some((machine) => machine.name === name);

async function addMachine(wanted: NewMachine): Promise<void> {
  const app = await goBuild('app');
  await install(enterIntoState(wanted), app);
}

/** Gives the machine a new disk and a new host key, and boots it. */
async function install(machine: MachineRecord, app: string): Promise<void> {
  const loginKey = ensureSshKey();
  const folder = folderOf(machine.name);
  const hostKey = newKeyPair(machine.name);
  await writeOwnFiles(join(folder, 'upper'), { ...machine, hostKey, loginKey, app: join(app, 'app') });
  for (const part of ['work', 'merged']) mkdirSync(join(folder, part));
  trustHost(machine.address, hostKey.public);
  await boot(machine);
  await waitUntilOn(machine);
  await waitUntilSettled(machine);
}

/** Stops the machine at once and removes all of it. */
export async function removeMachine(name: string): Promise<void> {
  await erase(findMachine(name));
  leaveState(name);
}

/** Stops the machine at once and installs it anew: name and address stay, nothing else does. */
export async function reimageMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  const app = await goBuild('app');
  await erase(machine);
  await install(machine, app);
}

async function erase({ name, address }: MachineRecord): Promise<void> {
  await cutPower(name);
  rmSync(folderOf(name), { recursive: true, force: true });
  rmSync(logFile(machineProcess(name)), { force: true });
  forgetHost(address);
}

/** Reboots the machine in an orderly way; resolves when it is up again. */
export async function rebootMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  const before = runningInit(name);
  await machineExec(name, ['systemctl', 'reboot']);
  await waitUntilOn(machine, before);
  await waitUntilSettled(machine);
}

/** Stops the machine as a pulled plug does: nothing inside is told, whoever is connected hears nothing. */
export async function powerOffMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  // First: a process that ends while its network stands says goodbye to its peers.
  await unplug(machine.name);
  await cutPower(machine.name);
}

/** Boots the machine with its disk, address and host key; resolves when SSH answers. One that is on stays as it is. */
export async function powerOnMachine(name: string): Promise<void> {
  const machine = findMachine(name);
  if (isOn(name)) return;
  // One that was shut down from inside left its cgroups.
  await cutPower(name);
  await boot(machine);
  await waitUntilOn(machine);
}
