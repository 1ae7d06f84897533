/** The machines in the state file: their records and addresses. */
import { machineNetworks, paths } from '../layout.ts';
import { readState, writeState, type MachineRecord, type State } from '../state.ts';

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
  const { cidr, first } = machineNetworks[wanted.network];
  const prefix = cidr.slice(0, cidr.lastIndexOf('.'));
  const taken = new Set(state.machines.map((machine) => machine.address));
  const last = Array.from({ length: 250 - first }, (_, n) => first + n).find((n) => !taken.has(`${prefix}.${n}`));
  if (last === undefined) throw new Error(`No address is free in ${cidr}; remove a machine first`);
  const machine = { ...wanted, address: `${prefix}.${last}` };
  writeState({ ...state, machines: [...state.machines, machine] });
  return machine;
}

export function leaveState(name: string, process: string, groups: readonly string[]): void {
  const state = currentState();
  writeState({
    ...state,
    machines: state.machines.filter((machine) => machine.name !== name),
    items: state.items.filter(
      (item) =>
        !(item.kind === 'process' && item.name === process) && !(item.kind === 'cgroup' && groups.includes(item.path)),
    ),
  });
}
