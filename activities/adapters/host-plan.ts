/** What travels to a machine on standard input: a tar of the plan, one line a change, and the files it names. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

import type { HostChange } from '../ports/host-port.ts';

/** A file of the tar: text, or the path of a file beside the worker. */
export type Payload = Placing & ({ readonly text: string } | { readonly localPath: string });

/** Name in the tar; mode (four octal digits, 0600 where absent) and owner (`user:group`, root where absent) as tar gives them to it. */
interface Placing {
  readonly name: string;
  readonly mode?: string;
  readonly owner?: string;
}

export interface HostPlan {
  readonly lines: readonly string[];
  readonly payloads: readonly Payload[];
}

/** Above the longest wait of the capture script, 120 s, so that the script's own reason is told. */
const defaultReadySeconds = 150;

/** One line a change, fields split by tabs and never empty; files wait where they are staged, other contents become payloads `0`, `1`, ... */
export function renderHostPlan(changes: readonly HostChange[]): HostPlan {
  const payloads: Payload[] = [];
  const add: AddPayload = (content) => {
    const name = String(payloads.length);
    payloads.push({ name, ...content });
    return name;
  };
  return { lines: changes.map((change) => line(change, add)), payloads };
}

/** The name in the tar of a file that the machine puts in place as it arrived: `name_staged` of journal.sh finds it there. */
export function stagedName(path: string): string {
  const name = path.lastIndexOf('/') + 1;
  return `files${path.slice(0, name)}.${path.slice(name)}.meshlift`;
}

type AddPayload = (content: ({ text: string } | { localPath: string }) & Partial<Placing>) => string;

function line(change: HostChange, add: AddPayload): string {
  switch (change.kind) {
    case 'InstallPackage': {
      const extension = change.localPath.endsWith('.rpm') ? 'rpm' : 'deb';
      const file = `${change.name}-${change.version}.${extension}`;
      return fields(
        change.kind,
        add({ localPath: change.localPath }),
        change.name,
        change.version,
        change.sha256,
        file,
      );
    }
    case 'WriteFile': {
      const { mode, owner, path } = change;
      add({ name: stagedName(path), mode, owner, text: change.content });
      return fields(change.kind, mode, owner, change.compare ?? 'bytes', path);
    }
    case 'WriteHostsBlock':
      return fields(change.kind, add({ text: change.lines.map((entry) => `${entry}\n`).join('') }));
    case 'StartProxy':
      return fields(change.kind, String(change.deadManSeconds), String(change.readySeconds ?? defaultReadySeconds));
    case 'SetEnforcement':
      return fields(
        change.kind,
        change.mode,
        add({ text: change.excludePorts.map((port) => `${port}\n`).join('') }),
        String(change.deadManSeconds),
      );
    case 'Hold':
      return fields(change.kind, change.by);
    case 'RestartProxy':
      return fields(change.kind, String(change.readySeconds));
    case 'ReleaseHold':
    case 'StopCapture':
    case 'StartCapture':
    case 'DrainProxy':
    case 'ConfirmCapture':
    case 'StopProxy':
    case 'Restore':
      return change.kind;
  }
}

function fields(...values: readonly string[]): string {
  const broken = values.find((value) => value === '' || /[\t\n]/.test(value));
  if (broken !== undefined)
    throw new TypeError(`A plan field is empty or holds a tab or line break: ${JSON.stringify(broken)}`);
  return values.join('\t');
}

/** What one SSH packet carries at most, as OpenSSH sizes them (CHAN_SES_PACKET_DEFAULT of channels.h). */
const packetBytes = 32 * 1024;

/** The tar, streamed in pieces of a packet's size: each piece costs both sides a turn. Its last file `end` tells the machine that all of it arrived. */
export function packHostPlan(plan: HostPlan, scripts: readonly Payload[]): Readable {
  const tar = pack();
  const write = async (): Promise<void> => {
    tar.entry(header({ name: 'plan' }), plan.lines.map((entry) => `${entry}\n`).join(''));
    for (const payload of [...scripts, ...plan.payloads]) {
      if ('text' in payload) tar.entry(header(payload), payload.text);
      else {
        const { size } = await stat(payload.localPath);
        await pipeline(createReadStream(payload.localPath), tar.entry({ ...header(payload), size }));
      }
    }
    tar.entry(header({ name: 'end' }), 'end\n');
    tar.finalize();
  };
  write().catch((error: unknown) => {
    tar.destroy(error as Error);
  });
  return Readable.from(inPackets(tar));
}

async function* inPackets(stream: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    held.push(piece);
    size += piece.length;
    if (size < packetBytes) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  yield Buffer.concat(held);
}

/** Owners go by name, since their numbers are the machine's own. */
function header({ name, mode = '0600', owner = 'root:root' }: Placing) {
  const [uname = '', gname = ''] = owner.split(':');
  return { name, mode: Number.parseInt(mode, 8), uname, gname };
}
