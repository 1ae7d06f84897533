/**
 * One verb at a time: the lock is an abstract socket, which the kernel frees when its process ends, however it ends. A file
 * beside it names the process and the folder it was started from, for whoever is refused.
 */
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { paths } from './layout.ts';

/** How often a held lock is tried again. */
const everyMs = 100;

interface Holder {
  readonly pid: number;
  readonly checkout: string;
  readonly verb: string;
}

/** The folder this checkout lies in. */
export const checkout = dirname(import.meta.dirname);

/** How many milliseconds a verb waits for the one that holds the lock; without a name that one has just begun. */
export type Patience = (holder: string | undefined) => number;

/** Runs `work` under the lock. A held lock is waited for with `patience`, then refused, naming process and folder. */
export async function withLock<T>(
  verb: string,
  patience: Patience,
  work: () => Promise<T>,
  path: string = paths.lock,
): Promise<T> {
  const socket = await takeWith(patience, path);
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify({ pid: process.pid, checkout, verb } satisfies Holder));
    return await work();
  } finally {
    release(path);
    socket.close();
  }
}

async function takeWith(patience: Patience, path: string): Promise<Server> {
  const asked = Date.now();
  for (;;) {
    const socket = await take(path);
    if (socket !== undefined) return socket;
    const holder = readHolder(path);
    if (Date.now() - asked >= patience(holder?.verb)) {
      throw new Error(`${describeHolder(holder)}; wait until it ends, or stop it`);
    }
    await sleep(everyMs);
  }
}

/** `undefined` while another process holds it. */
async function take(path: string): Promise<Server | undefined> {
  return await new Promise((resolve, reject) => {
    const socket = createServer();
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    socket.listen(`\0${path}`, () => {
      resolve(socket);
    });
  });
}

/** `undefined` while the holder has not yet said who it is. */
function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

function describeHolder(holder: Holder | undefined): string {
  if (holder === undefined) return 'The sandbox is held by another process that has just begun';
  return `The sandbox is held by process ${holder.pid} ("${holder.verb}", started from ${holder.checkout})`;
}

/** Leaves no empty run folder behind where there is no sandbox. */
function release(path: string): void {
  rmSync(path, { force: true });
  try {
    rmdirSync(dirname(path));
  } catch {
    // The folder holds a sandbox, or is gone with it.
  }
}
