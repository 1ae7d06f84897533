/** The root file system that all machines share, one overlay each: a plain Debian server, as an installer leaves it. */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { digestOf, ensurePart, isCached, type Part } from '../cache.ts';
import { run } from '../exec.ts';
import { loginUser } from '../layout.ts';
import { machineToolsFolder } from '../parts/debian.ts';
import { step } from '../progress.ts';

const release = 'bookworm';
const packages = [
  ...['systemd', 'systemd-sysv', 'dbus', 'openssh-server', 'sudo', 'iptables', 'iproute2'],
  ...['ca-certificates', 'curl', 'python3-minimal', 'hostname'],
];
/** The user that the test app runs as. */
export const appUser = 'app';
/** Uid and gid of the login user: the first ordinary ones of the root. */
export const loginUid = 1000;

const part: Part = {
  name: 'machine-root',
  key: `${release}-${digestOf(readFileSync(import.meta.filename, 'utf8'))}`,
  build: async (into) => {
    await bootstrap(join(into, 'root'));
    await settle(join(into, 'root'));
  },
};

let making: Promise<string> | undefined;

/** Path of the root; read only to everyone. */
export async function rootFilesystem(): Promise<string> {
  making ??= isCached(part)
    ? ensurePart(part)
    : step('making the machines’ root (debootstrap)', async () => await ensurePart(part));
  return join(await making, 'root');
}

async function bootstrap(root: string): Promise<void> {
  const tools = await machineToolsFolder();
  const args = ['--variant=minbase', `--include=${packages.join(',')}`, release, root];
  await run(join(tools, 'usr', 'sbin', 'debootstrap'), args, {
    env: { DEBOOTSTRAP_DIR: join(tools, 'usr', 'share', 'debootstrap') },
  });
}

/** Users and network; and away with what each machine has of its own, with caches, and with timers that look for the internet. */
async function settle(root: string): Promise<void> {
  await run('chroot', [root, 'useradd', '--uid', String(loginUid), '--create-home', '--shell', '/bin/bash', loginUser]);
  await run('chroot', [root, 'useradd', '--system', '--shell', '/usr/sbin/nologin', appUser]);
  await writeFile(join(root, 'etc/sudoers.d', loginUser), `${loginUser} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
  const units = join(root, 'etc/systemd/system');
  await mkdir(join(units, 'multi-user.target.wants'), { recursive: true });
  await symlink(
    '/lib/systemd/system/systemd-networkd.service',
    join(units, 'multi-user.target.wants/systemd-networkd.service'),
  );
  for (const timer of ['apt-daily.timer', 'apt-daily-upgrade.timer']) await symlink('/dev/null', join(units, timer));
  await writeFile(join(root, 'etc/machine-id'), '');
  const unique = (await readdir(join(root, 'etc/ssh')))
    .filter((file) => file.startsWith('ssh_host_'))
    .map((file) => `etc/ssh/${file}`);
  const caches = [
    'var/cache/apt/archives',
    'var/cache/apt/pkgcache.bin',
    'var/cache/apt/srcpkgcache.bin',
    'var/lib/apt/lists',
  ];
  const ofTheMaker = ['etc/resolv.conf', 'etc/hostname', 'var/log/bootstrap.log'];
  for (const path of [...unique, ...caches, ...ofTheMaker])
    await rm(join(root, path), { recursive: true, force: true });
  for (const folder of ['var/cache/apt/archives/partial', 'var/lib/apt/lists/partial'])
    await mkdir(join(root, folder), { recursive: true });
}
