/**
 * One verb at a time: the lock is an abstract socket, which the kernel frees when its process ends, however it ends. A file
 * beside it names the process and the folder it was started from, for whoever is refused.
 */
import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { dirname } from 'node:path';

import { paths } from './layout.ts';
import { waitFor } from './wait.ts';

interface Holder {
  readonly pid: number;
  readonly checkout: string;
  readonly verb: string;
}

/** The folder this checkout lies in. */
export const checkout = dirname(import.meta.dirname);

/** Runs `work` under the lock. A held lock is waited for `patienceMs`, then refused, naming process and folder. */
export async function withLock<T>(
  verb: string,
  patienceMs: number,
  work: () => Promise<T>,
  path: string = paths.lock,
): Promise<T> {
  const wait = { what: 'the lock', timeoutMs: patienceMs, see: path, everyMs: 100 };
  const socket = await waitFor(wait, async () => await take(path)).catch((error: unknown) => {
    throw new Error(`${describeHolder(path)}; wait until it ends, or stop it`, { cause: error });
  });
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, JSON.stringify({ pid: process.pid, checkout, verb } satisfies Holder));
    return await work();
  } finally {
    release(path);
    socket.close();
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

function describeHolder(path: string): string {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Holder;
    return `The sandbox is held by process ${holder.pid} ("${holder.verb}", started from ${holder.checkout})`;
  } catch {
    return 'The sandbox is held by another process that has just begun';
  }
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
