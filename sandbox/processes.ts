/**
 * Processes of the sandbox: started detached with a log file each, recorded with their start time, found again by that or by
 * the marker in their environment, and killed without ever touching a reused process id.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { paths, RUN } from './layout.ts';
import { record } from './state.ts';
import { waitFor, yes } from './wait.ts';

/** Stands in the environment of everything the sandbox starts, so that a crash between start and record loses nothing. */
const marker = 'MESHLIFT_SANDBOX';

export interface Started {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export const logFile = (name: string): string => join(paths.logs, `${name}.log`);

/** Field 22 of /proc/<pid>/stat; `undefined` when there is no such process, or only its zombie. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export const isAlive = (process: { readonly pid: number; readonly startTime: string }): boolean =>
  startTimeOf(process.pid) === process.startTime;

/** Starts a process that outlives this command, its output going to `logs/<name>.log`. */
export function start(started: Started): number {
  mkdirSync(paths.logs, { recursive: true });
  const log = openSync(logFile(started.name), 'a');
  const child = spawn(started.file, [...started.args], {
    cwd: started.cwd ?? RUN,
    env: { ...process.env, ...started.env, [marker]: RUN },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const { pid } = child;
  child.on('error', () => undefined);
  child.unref();
  if (pid === undefined) throw new Error(`Could not start ${started.name}: ${started.file} does not run`);
  record({ kind: 'process', name: started.name, pid, startTime: startTimeOf(pid) ?? '' });
  return pid;
}

/** Waits until `probe` says yes; fails at once, with the last lines of the log, when the process ends first. */
export async function waitUntilReady(
  process: { readonly name: string; readonly pid: number },
  timeoutMs: number,
  probe: () => Promise<boolean>,
): Promise<void> {
  const see = logFile(process.name);
  const ended = await waitFor({ what: `${process.name} to be ready`, timeoutMs, see, everyMs: 100 }, async () => {
    if (startTimeOf(process.pid) === undefined) return 'ended';
    return (await probe()) ? 'ready' : undefined;
  });
  if (ended === 'ended') {
    const lastWords = readFileSync(see, 'utf8').trim().split('\n').slice(-8).join('\n');
    throw new Error(`${process.name} ended before it was ready; see ${see}:\n${lastWords}`);
  }
}

/** Every process that carries the marker, or whose root file system lies in the run folder (containers, machines). */
export function ownProcesses(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => pid !== process.pid && (carriesMarker(pid) || isRootedInRun(pid)));
}

function carriesMarker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`${marker}=${RUN}`);
  } catch {
    return false;
  }
}

function isRootedInRun(pid: number): boolean {
  try {
    const root = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .filter((line) => line.split(' ')[4] === '/')
      .at(-1);
    return root?.includes(`=${RUN}/`) ?? false;
  } catch {
    return false;
  }
}

/** Kills the processes and waits until they are gone. */
export async function killAll(pids: readonly number[]): Promise<void> {
  const victims = pids
    .map((pid) => ({ pid, startTime: startTimeOf(pid) }))
    .filter((victim) => victim.startTime !== undefined);
  for (const { pid } of victims) kill(pid);
  await waitFor({ what: `processes ${pids.join(', ')} to end`, timeoutMs: 20_000, see: 'ps', everyMs: 50 }, () =>
    yes(victims.every(({ pid, startTime }) => startTimeOf(pid) !== startTime)),
  );
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
