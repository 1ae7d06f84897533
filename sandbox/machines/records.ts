/** The machines in the state file: their records and addresses. */
import { jumpHost, type MachineNetwork, machineNetworks, paths } from '../layout.ts';
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

/** Takes the next address, but for the jump host, which has its own; reads and writes the state without a pause, so that machines can be added side by side. */
export function enterIntoState(wanted: Omit<MachineRecord, 'address'>): MachineRecord {
  const state = currentState();
  if (state.machines.some((machine) => machine.name === wanted.name)) {
    throw new Error(
      `The sandbox already has a machine ${wanted.name}; remove it first: npm run sandbox -- machine remove ${wanted.name}`,
    );
  }
  const { name, network } = wanted;
  if (name === jumpHost.name) return enter(state, { ...wanted, address: jumpHost.address });
  const address = freeAddress(network, state);
  return enter({ ...state, lastAddresses: { ...state.lastAddresses, [network]: address } }, { ...wanted, address });
}

function enter(state: State, machine: MachineRecord): MachineRecord {
  writeState({ ...state, machines: [...state.machines, machine] });
  return machine;
}

/** The next one after the last: what is left of a machine in the cluster, or comes back to it, is not met by another at once. */
export function freeAddress(
  network: MachineNetwork,
  { machines, lastAddresses }: Pick<State, 'machines' | 'lastAddresses'>,
): string {
  const { cidr, first } = machineNetworks[network];
  const prefix = cidr.slice(0, cidr.lastIndexOf('.'));
  const all = Array.from({ length: 250 - first }, (_, n) => `${prefix}.${first + n}`);
  const next = all.indexOf(lastAddresses?.[network] ?? '') + 1;
  const taken = new Set(machines.map((machine) => machine.address));
  const free = [...all.slice(next), ...all.slice(0, next)].find((address) => !taken.has(address));
  if (free === undefined) throw new Error(`No address is free in ${cidr}; remove a machine first`);
  return free;
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
