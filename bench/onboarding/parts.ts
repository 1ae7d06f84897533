/** What the onboarding benchmark is made of, built once into the cache: the machines' root, and Ansible with Mitogen. */
import { readFileSync } from 'node:fs';
import { readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { digestOf, ensurePart, type Part } from '../../sandbox/cache.ts';
import { run } from '../../sandbox/exec.ts';
import { machineToolsFolder } from '../../sandbox/parts/debian.ts';
import { goBuild } from '../../sandbox/parts/go-builds.ts';

const recipe = digestOf(readFileSync(import.meta.filename, 'utf8'));
/** The newest release that Mitogen names as supported. */
const ansibleVersion = '2.19.14';
const mitogenVersion = '0.3.54';
export const versions = { ansible: ansibleVersion, mitogen: mitogenVersion } as const;

/** The login user and the proxy's, as an installer and the package make them. */
export const login = { user: 'ops', id: 1000 } as const;

/** A plain Debian server as in the sandbox, with the whole of Python, which Ansible needs and Meshlift does not. */
const machineRoot: Part = {
  name: 'bench-root',
  key: recipe,
  build: async (into) => {
    const tools = await machineToolsFolder();
    const root = join(into, 'root');
    const packages = ['openssh-server', 'sudo', 'systemd', 'iproute2', 'iptables', 'hostname', 'python3'];
    const args = ['--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', root];
    await run(join(tools, 'usr', 'sbin', 'debootstrap'), args, {
      env: { DEBOOTSTRAP_DIR: join(tools, 'usr', 'share', 'debootstrap') },
    });
    const inRoot = async (...command: string[]) => await run('chroot', [root, ...command]);
    await inRoot('useradd', '--uid', String(login.id), '--create-home', '--shell', '/bin/bash', login.user);
    await inRoot('useradd', '--system', '--home-dir', '/var/lib/istio', '--shell', '/usr/sbin/nologin', 'istio-proxy');
    await writeFile(join(root, 'etc/sudoers.d', login.user), `${login.user} ALL=(ALL) NOPASSWD: ALL\n`, {
      mode: 0o440,
    });
    for (const path of ['etc/hostname', 'etc/resolv.conf', 'var/cache/apt', 'var/lib/apt/lists']) {
      await rm(join(root, path), { recursive: true, force: true });
    }
    for (const file of await readdir(join(root, 'etc/ssh'))) {
      if (file.startsWith('ssh_host_')) await rm(join(root, 'etc/ssh', file));
    }
  },
};

/** A virtual environment is bound to its path, so its packages alone are cached. */
const ansible: Part = {
  name: 'bench-ansible',
  key: `${ansibleVersion}-${mitogenVersion}`,
  build: async (into) => {
    const packages = [`ansible-core==${ansibleVersion}`, `mitogen==${mitogenVersion}`];
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', join(into, 'site'), ...packages]);
    await symlink(join('site', 'ansible_mitogen', 'plugins', 'strategy'), join(into, 'mitogen-strategies'));
  },
};

export interface Parts {
  readonly root: string;
  /** Folder with `site` (PYTHONPATH) and `mitogen-strategies`. */
  readonly ansible: string;
  readonly temporal: string;
}

export async function ensureParts(): Promise<Parts> {
  const [root, tools, temporal] = await Promise.all([
    ensurePart(machineRoot),
    ensurePart(ansible),
    goBuild('temporal'),
  ]);
  return { root: join(root, 'root'), ansible: tools, temporal: join(temporal, 'temporal') };
}
