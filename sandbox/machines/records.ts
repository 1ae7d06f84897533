/** The machines in the state file: their records and addresses. */
import { jumpHost, machineNetworks, paths } from '../layout.ts';
import { machineProcess, readState, writeState, type MachineRecord, type State } from '../state.ts';

export function currentState(): State {
  const state = readState();
  if (state === undefined) throw new Error(`No sandbox state in ${paths.state}; run: npm run sandbox -- up`);
  return state;
}

export function findMachine(name: string): MachineRecord {
  const found = currentState().machines.find((machine) => machine.name === name);
  if (found === undefined) throw new Error(`The sandbox has no machine ${name}; see: npm run sandbox -- status`);
  return found;
}

/** Takes the next free address; reads and writes the state without a pause, so that machines can be added side by side. */
export function enterIntoState(wanted: Omit<MachineRecord, 'address'>): MachineRecord {
  const state = currentState();
  if (state.machines.some((machine) => machine.name === wanted.name)) {
    throw new Error(
      `The sandbox already has a machine ${wanted.name}; remove it first: npm run sandbox -- machine remove ${wanted.name}`,
    );
  }
  const machine = { ...wanted, address: wanted.name === jumpHost.name ? jumpHost.address : freeAddress(wanted, state) };
  writeState({ ...state, machines: [...state.machines, machine] });
  return machine;
}

function freeAddress({ network }: Pick<MachineRecord, 'network'>, { machines }: State): string {
  const { cidr, first } = machineNetworks[network];
  const prefix = cidr.slice(0, cidr.lastIndexOf('.'));
  const taken = new Set(machines.map((machine) => machine.address));
  const last = Array.from({ length: 250 - first }, (_, n) => first + n).find((n) => !taken.has(`${prefix}.${n}`));
  if (last === undefined) throw new Error(`No address is free in ${cidr}; remove a machine first`);
  return `${prefix}.${last}`;
}

/** Forgets what ran for the machine; its record, and so its address, stays. */
export function forgetProcess(name: string, groups: readonly string[]): void {
  const state = currentState();
  const items = state.items.filter(
    (item) =>
      !(item.kind === 'process' && item.name === machineProcess(name)) &&
      !(item.kind === 'cgroup' && groups.includes(item.path)),
  );
  writeState({ ...state, items });
}

export function leaveState(name: string): void {
  const state = currentState();
  writeState({ ...state, machines: state.machines.filter((machine) => machine.name !== name) });
}
