/**
 * Debian packages, fetched with apt's own checks and unpacked into the cache instead of installed, so that no daemon of theirs
 * starts and the host's package database stays as it is.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { digestOf, ensurePart, isCached, partFolder, type Part } from '../cache.ts';
import { run } from '../exec.ts';
import { step } from '../progress.ts';

const node = ['etcd-server', 'containerd', 'runc', 'containernetworking-plugins'];
const iptables = [
  'iptables',
  'libip4tc2',
  'libip6tc2',
  'libxtables12',
  'libnftnl11',
  'libmnl0',
  'libnetfilter-conntrack3',
  'libnfnetlink0',
];

/** What the node runs, and a `bin` folder with the commands by the names that others call them. */
const nodeTools = debianPart('debian-node', [...node, ...iptables], addCommands);

/** A root for the proxy's image: the C library for Envoy, and iptables for the redirection inside pods. */
const proxyRoot = debianPart('debian-proxy-root', ['libc6', 'libgcc-s1', ...iptables], addProxyUser);

/** What makes and boots the machines: their root file system is made by the one, they run in the other. */
const machineTools = debianPart(
  'debian-machines',
  ['debootstrap', 'systemd-container', 'libsystemd-shared', 'libapparmor1', 'libip4tc2', 'libkmod2', 'libseccomp2'],
  () => undefined,
);

/** Its one program; Debian's own service of it does not start. */
const prometheus = debianPart('debian-prometheus', ['prometheus'], () => undefined);

const known = new Map<string, Promise<string>>();
const ensure = async (part: Part): Promise<string> => {
  const folder = known.get(part.name) ?? fetchPart(part);
  known.set(part.name, folder);
  return await folder;
};
const fetchPart = async (part: Part): Promise<string> =>
  isCached(part)
    ? await ensurePart(part)
    : await step(`fetching ${part.name} (apt)`, async () => await ensurePart(part));

export const nodeToolsFolder = async (): Promise<string> => await ensure(nodeTools);
export const machineToolsFolder = async (): Promise<string> => await ensure(machineTools);
export const prometheusFolder = async (): Promise<string> => await ensure(prometheus);
export const proxyRootFolder = async (): Promise<string> => await ensure(proxyRoot);
/** Environment of a process that calls iptables, runc or CNI plugins by name. */
export const nodeToolsEnvironment = (folder: string): NodeJS.ProcessEnv => ({
  PATH: `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`,
});

function debianPart(name: string, packages: readonly string[], finish: (root: string, folder: string) => void): Part {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  const key = `${release}-${digestOf(name, readFileSync(import.meta.filename, 'utf8'))}`;
  return {
    name,
    key,
    build: async (into) => {
      const debs = join(into, 'debs');
      mkdirSync(debs);
      // The user that apt downloads as must be able to write there, or apt warns on every file.
      chmodSync(into, 0o755);
      chmodSync(debs, 0o777);
      await run('apt-get', ['download', '-q', ...packages], { cwd: debs }).catch(async () => {
        await run('apt-get', ['update', '-q']);
        await run('apt-get', ['download', '-q', ...packages], { cwd: debs });
      });
      for (const deb of readdirSync(debs)) await run('dpkg-deb', ['-x', join(debs, deb), into]);
      rmSync(debs, { recursive: true });
      finish(into, partFolder({ name, key }));
    },
  };
}

/** Commands as small scripts: the unpacked iptables finds its libraries and extensions only when told where they are. */
function addCommands(root: string, folder: string): void {
  const libraries = readdirSync(join(root, 'usr', 'lib')).find((name) => name.endsWith('-linux-gnu')) ?? '';
  mkdirSync(join(root, 'bin'));
  for (const family of ['iptables', 'ip6tables']) {
    for (const command of [family, `${family}-save`, `${family}-restore`]) {
      const library = join(folder, 'usr', 'lib', libraries);
      const lines = [
        '#!/bin/sh',
        `export LD_LIBRARY_PATH=${library} XTABLES_LIBDIR=${join(library, 'xtables')}`,
        `exec ${join(folder, 'usr', 'sbin', 'xtables-nft-multi')} ${command} "$@"`,
      ];
      writeFileSync(join(root, 'bin', command), `${lines.join('\n')}\n`, { mode: 0o755 });
    }
  }
  const programs = { etcd: 'bin/etcd', containerd: 'bin/containerd', ctr: 'bin/ctr', runc: 'sbin/runc' };
  for (const [name, target] of Object.entries(programs)) symlinkSync(`../usr/${target}`, join(root, 'bin', name));
}

function addProxyUser(root: string): void {
  for (const folder of [
    'etc',
    'tmp',
    'var/lib/istio/data',
    'var/lib/istio/envoy',
    'var/run/secrets',
    'etc/istio/proxy',
  ]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  for (const folder of ['etc/istio/proxy', 'var/lib/istio/data']) chmodSync(join(root, folder), 0o777);
  writeFileSync(
    join(root, 'etc', 'passwd'),
    'root:x:0:0::/:/bin/false\nistio-proxy:x:1337:1337::/var/lib/istio:/bin/false\n',
  );
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\nistio-proxy:x:1337:\n');
  writeFileSync(join(root, 'etc', 'nsswitch.conf'), 'hosts: files dns\n');
}
