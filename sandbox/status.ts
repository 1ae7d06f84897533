/** What stands, for a person: processes with their logs, machines, and who holds it. */
import { RUN } from './layout.ts';
import { isAlive, logFile } from './processes.ts';
import { isOn } from './machines/power.ts';
import { platformProcesses, readState, type MachineRecord } from './state.ts';

export interface Status {
  readonly lines: readonly string[];
  /** `up` came to its end, and every process of the platform runs. */
  readonly isReady: boolean;
}

/** `undefined` when there is no sandbox. */
export function status(): Status | undefined {
  const state = readState();
  if (state === undefined) return undefined;
  const processes = platformProcesses(state);
  const lines = [
    `sandbox of ${state.checkout}, started ${state.startedAt}, ${state.readyAt === undefined ? 'not ready' : `ready ${state.readyAt}`}, in ${RUN}`,
    ...processes.map(
      (item) =>
        `process ${item.name.padEnd(24)} ${String(item.pid).padEnd(8)} ${isAlive(item) ? 'alive' : `dead, see ${logFile(item.name)}`}`,
    ),
    ...state.machines.map(lineOf),
  ];
  return { lines, isReady: state.readyAt !== undefined && processes.every(isAlive) };
}

const lineOf = (machine: MachineRecord): string =>
  `machine ${machine.name.padEnd(24)} ${machine.address.padEnd(15)} ${isOn(machine.name) ? 'on ' : 'off'} ${[machine.namespace, machine.network, ...machine.apps].filter((word) => word !== '').join(', ')}`;
