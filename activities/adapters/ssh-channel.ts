/** One command's channel: what it says and how it exits. */
import type { Readable } from 'node:stream';

import type { ClientChannel } from 'ssh2';

import type { ExecResult } from './host-failures.ts';

/** Feeds `input` to the command and settles with its answer; `lost` makes the error of a channel that broke first. */
export function runChannel(
  channel: ClientChannel,
  input: Readable | undefined,
  resolve: (result: ExecResult) => void,
  reject: (error: Error) => void,
  lost: (doing: string) => Error,
): void {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  channel.on('data', (chunk: Buffer) => out.push(chunk));
  channel.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  channel.on('close', (code: number | null | undefined) => {
    if (typeof code === 'number')
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    else reject(lost('during a command'));
  });
  if (input === undefined) {
    channel.end();
    return;
  }
  // A script that is done before it has read everything (a recorded result) closes the channel: its exit tells, not the broken pipe.
  channel.on('error', () => undefined);
  input.on('error', (error) => {
    channel.destroy();
    reject(error);
  });
  input.pipe(channel);
}
