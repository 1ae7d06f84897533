/** Meshlift's own processes, started as a user starts them: `meshlift api` and `meshlift worker`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { eventually, Unrecoverable } from './eventually.ts';

const root = join(import.meta.dirname, '..');

export interface MeshliftProcess {
  readonly child: ChildProcess;
  /** Everything it wrote so far. */
  readonly log: () => string;
  /** Ends it and waits for its end; SIGTERM unless told otherwise. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
}

/** Starts `meshlift <verb>` with these variables; resolves once its log says that it is up. */
export async function startProcess(
  verb: 'api' | 'worker',
  env: Readonly<Record<string, string>>,
  logFile: string,
): Promise<MeshliftProcess> {
  const isUp = { api: /listening/i, worker: /meshlift worker polls/ }[verb];
  const log = openSync(logFile, 'w');
  const child = spawn(process.execPath, ['meshlift.ts', verb], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const read = (): string => readFileSync(logFile, 'utf8');
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await eventually(`meshlift ${verb} is up`, () => {
    if (hasEnded()) throw new Unrecoverable(`meshlift ${verb} ended early:\n${read()}`);
    return isUp.test(read());
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (hasEnded()) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  };
  return { child, log: read, stop };
}
