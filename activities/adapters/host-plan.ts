/** What travels to a machine on standard input: a tar of the plan, one line a change, and the files it names. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';

import type { HostChange } from '../ports/host-port.ts';

/** A file of the tar: text, or the path of a file beside the worker. */
export type Payload = { readonly name: string } & ({ readonly text: string } | { readonly localPath: string });

export interface HostPlan {
  readonly lines: readonly string[];
  readonly payloads: readonly Payload[];
}

/** Above the longest wait of the capture script, 120 s, so that the script's own reason is told. */
const defaultReadySeconds = 150;

/** One line a change, fields split by tabs and never empty; contents become payloads `0`, `1`, ... */
export function renderHostPlan(changes: readonly HostChange[]): HostPlan {
  const payloads: Payload[] = [];
  const add = (content: { text: string } | { localPath: string }): string => {
    const name = String(payloads.length);
    payloads.push({ name, ...content });
    return name;
  };
  return { lines: changes.map((change) => line(change, add)), payloads };
}

function line(change: HostChange, add: (content: { text: string } | { localPath: string }) => string): string {
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
    case 'WriteFile':
      return fields(
        change.kind,
        add({ text: change.content }),
        change.mode,
        change.owner,
        change.compare ?? 'bytes',
        change.path,
      );
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

/** The tar, streamed; its last file `end` tells the machine that all of it arrived. */
export function packHostPlan(plan: HostPlan, scripts: readonly Payload[]): Readable {
  const tar = pack();
  const text = (name: string, content: string): void => void tar.entry({ name, mode: 0o600 }, content);
  const write = async (): Promise<void> => {
    text('plan', plan.lines.map((entry) => `${entry}\n`).join(''));
    for (const payload of [...scripts, ...plan.payloads]) {
      if ('text' in payload) text(payload.name, payload.text);
      else {
        const { size } = await stat(payload.localPath);
        await pipeline(createReadStream(payload.localPath), tar.entry({ name: payload.name, mode: 0o600, size }));
      }
    }
    text('end', 'end\n');
    tar.finalize();
  };
  write().catch((error: unknown) => {
    tar.destroy(error as Error);
  });
  return Readable.from(tar);
}
