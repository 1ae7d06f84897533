/**
 * The state file names every process, mount, bridge, rule and path the sandbox made, in order of making. `down` undoes just
 * those, newest first; `up` after a crash does the same before it starts. An item is recorded before it is made, and undoing
 * one that never came to be is not an error.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

import { type App, type MachineNetwork, paths, RUN } from './layout.ts';

export type Item =
  /** `startTime` is field 22 of /proc/<pid>/stat: a reused pid is never killed. */
  | {
      readonly kind: 'process';
      readonly name: string;
      readonly pid: number;
      readonly startTime: string;
      readonly signal?: string;
    }
  | { readonly kind: 'mount'; readonly path: string }
  | { readonly kind: 'link'; readonly name: string }
  /** Arguments of `iptables` after the verb, e.g. table, chain and rule. */
  | { readonly kind: 'rule'; readonly table: string; readonly chain: string; readonly rule: readonly string[] }
  | { readonly kind: 'chain'; readonly table: string; readonly chain: string }
  | { readonly kind: 'sysctl'; readonly key: string; readonly before: string }
  | { readonly kind: 'cgroup'; readonly path: string }
  | { readonly kind: 'path'; readonly path: string };

export interface MachineRecord {
  readonly name: string;
  readonly namespace: string;
  readonly network: MachineNetwork;
  readonly apps: readonly App[];
  readonly address: string;
}

export interface State {
  /** Folder of the checkout that brought the sandbox up, for the refusal of a second holder. */
  readonly checkout: string;
  readonly startedAt: string;
  /** When everything was ready; absent while it comes up, or when that never ended. */
  readonly readyAt?: string;
  readonly items: readonly Item[];
  readonly machines: readonly MachineRecord[];
  /** The address that was given last, by network. */
  readonly lastAddresses?: Readonly<Partial<Record<MachineNetwork, string>>>;
}

export function readState(): State | undefined {
  try {
    return JSON.parse(readFileSync(paths.state, 'utf8')) as State;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Writes the whole file by rename, so that a kill at any moment leaves the old or the new one. */
export function writeState(state: State): void {
  mkdirSync(RUN, { recursive: true });
  writeFileSync(`${paths.state}.new`, JSON.stringify(state, null, 2));
  renameSync(`${paths.state}.new`, paths.state);
}

export const machineProcess = (machine: string): string => `machine-${machine}`;

/** The processes without which there is no platform; a machine is not one of them, it may be off. */
export const platformProcesses = ({ items, machines }: State) => {
  const ofMachines = new Set(machines.map(({ name }) => machineProcess(name)));
  return items.filter((item) => item.kind === 'process').filter(({ name }) => !ofMachines.has(name));
};

/** Adds an item; call it before making the thing (for a process: right after its start). */
export function record(item: Item): void {
  const state = readState();
  if (state === undefined) throw new Error(`No sandbox state in ${paths.state}; run: npm run sandbox -- up`);
  writeState({ ...state, items: [...state.items, item] });
}
