/** What every tool places on a machine: the files that Meshlift renders for it, a token, and lines of /etc/hosts. */
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { join } from 'node:path';

import { pack } from 'tar-stream';

import type { BenchMachine } from './fleet.ts';

export interface PlacedFile {
  readonly path: string;
  /** Four octal digits. */
  readonly mode: string;
  /** `user:group`. */
  readonly owner: string;
  readonly content: string;
}

export interface Payload {
  readonly files: readonly PlacedFile[];
  readonly hostsLines: readonly string[];
}

export type Ids = ReadonlyMap<string, number>;

/** Names and numbers of the users in the machines' root; groups bear the same names and numbers. */
export function readIds(root: string): Ids {
  const lines = readFileSync(join(root, 'etc', 'passwd'), 'utf8')
    .trim()
    .split('\n');
  return new Map(lines.map((line) => [line.split(':')[0] ?? '', Number(line.split(':')[2])]));
}

const ownerId = (ids: Ids, { owner }: PlacedFile): number => ids.get(owner.split(':')[0] ?? '') ?? 0;

/** On a machine with merged /usr and /run: /var/run is a link to /run. */
const settled = (path: string): string => path.replace(/^\/var\/run\//, '/run/');

const hostsFile = ({ name }: BenchMachine, lines: readonly string[]): string =>
  [`127.0.0.1 localhost`, `127.0.1.1 ${name}`, '# BEGIN meshlift', ...lines, '# END meshlift', ''].join('\n');

/** Everything in one tar, folders and /etc/hosts included, ready to be unpacked over the machine's root. */
export async function tarOf(machine: BenchMachine, payload: Payload, ids: Ids, withHosts: boolean): Promise<Buffer> {
  const tar = pack();
  for (const folder of missingFolders(payload)) {
    tar.entry({ name: `.${settled(`${folder}/`)}`, type: 'directory', mode: 0o755, uid: 0, gid: 0 });
  }
  for (const file of payload.files) {
    const id = ownerId(ids, file);
    const header = { name: `.${settled(file.path)}`, mode: Number.parseInt(file.mode, 8), uid: id, gid: id };
    tar.entry(header, file.content);
  }
  if (withHosts)
    tar.entry({ name: './etc/hosts', mode: 0o644, uid: 0, gid: 0 }, hostsFile(machine, payload.hostsLines));
  tar.finalize();
  return await buffer(tar);
}

/** Folders that a machine as installed does not have, those above first. */
export function missingFolders({ files }: Payload): string[] {
  const there = new Set(['', '/etc', '/etc/systemd', '/etc/systemd/system', '/var', '/var/lib', '/var/run']);
  const above = (path: string): string[] => {
    const parent = path.slice(0, path.lastIndexOf('/'));
    return there.has(parent) ? [] : [...above(parent), parent];
  };
  return [...new Set(files.flatMap(({ path }) => above(path)))];
}

/** What of the payload is not on the machine as wanted, looked up from outside, past SSH and past every tool. */
export function faultsOf(machine: BenchMachine, payload: Payload, ids: Ids): string[] {
  const wrong = (path: string, mode: string, id: number, content: string): string[] => {
    const at = settled(path);
    const file = at.startsWith('/run/') ? join(machine.run, at.slice('/run/'.length)) : join(machine.upper, at);
    if (!existsSync(file)) return [`${machine.name}: ${path} is missing`];
    const stat = lstatSync(file);
    return [
      ...(readFileSync(file, 'utf8') === content ? [] : [`${machine.name}: ${path} has other content`]),
      ...((stat.mode & 0o7777) === Number.parseInt(mode, 8) ? [] : [`${machine.name}: ${path} has another mode`]),
      ...(stat.uid === id && stat.gid === id ? [] : [`${machine.name}: ${path} has another owner`]),
    ];
  };
  return [
    ...payload.files.flatMap((file) => wrong(file.path, file.mode, ownerId(ids, file), file.content)),
    ...wrong('/etc/hosts', '0644', 0, hostsFile(machine, payload.hostsLines)),
  ];
}
