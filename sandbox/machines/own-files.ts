/** What sets one machine apart from the shared root: name, address, keys, and the workload that runs on it. */
import { chmod, chown, copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type App, appPorts, loginUser, machineNetworks, type MachineNetwork } from '../layout.ts';
import { appUser, loginUid } from './root.ts';
import type { KeyPair } from './ssh-keys.ts';

export interface OwnFiles {
  readonly name: string;
  readonly address: string;
  readonly network: MachineNetwork;
  /** The apps that run from the first boot; the units of the others are there too. */
  readonly apps: readonly App[];
  readonly hostKey: KeyPair;
  /** Public key of the login user. */
  readonly loginKey: string;
  /** Path of the test app's binary. */
  readonly app: string;
}

/** Units by app, one process each, so that a test starts and stops them apart. */
const unitNames: Readonly<Record<App, string>> = {
  http: 'app.service',
  grpc: 'app-grpc.service',
  tcp: 'app-tcp.service',
  greeting: 'app-greeting.service',
};

const appUnit = (app: App): string => `[Unit]
Description=The workload of this machine (${app})
After=network.target

[Service]
ExecStart=/usr/local/bin/app serve ${app === 'http' ? `--listen :${appPorts.http}` : `--listen= --${app} :${appPorts[app]}`}
User=${appUser}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`;

/** Lays the files into the upper folder of the overlay, before it is mounted. */
export async function writeOwnFiles(upper: string, own: OwnFiles): Promise<void> {
  const { host } = machineNetworks[own.network];
  const put = async (path: string, text: string, mode = 0o644): Promise<void> => {
    const target = join(upper, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text, { mode });
  };
  await mkdir(upper, { recursive: true });
  await chmod(upper, 0o755);
  await put('etc/hostname', `${own.name}\n`);
  // Without a line for its own name sudo waits for DNS.
  await put('etc/hosts', `127.0.0.1 localhost\n127.0.1.1 ${own.name}\n`);
  await put('etc/resolv.conf', `nameserver ${host}\n`);
  await put('etc/systemd/network/10-host0.network', networkFile(own.address, host));
  await put('etc/ssh/ssh_host_ed25519_key', own.hostKey.private, 0o600);
  await put('etc/ssh/ssh_host_ed25519_key.pub', `${own.hostKey.public}\n`);
  const units = 'etc/systemd/system';
  for (const app of Object.keys(appPorts) as App[]) await put(join(units, unitNames[app]), appUnit(app));
  const wanted = join(upper, units, 'multi-user.target.wants');
  await mkdir(wanted, { recursive: true });
  for (const app of own.apps) await symlink(`../${unitNames[app]}`, join(wanted, unitNames[app]));
  await mkdir(join(upper, 'usr/local/bin'), { recursive: true });
  await copyFile(own.app, join(upper, 'usr/local/bin/app'));
  await chmod(join(upper, 'usr/local/bin/app'), 0o755);
  await writeLoginKey(upper, own.loginKey);
}

/** The hardware address follows from the IP address: whoever knew a machine that is gone finds the next one on its address. */
function networkFile(address: string, host: string): string {
  const hardware = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return `[Match]
Name=host0

[Link]
MACAddress=02:4d:${hardware.join(':')}

[Network]
Address=${address}/24
Gateway=${host}
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
`;
}

/** The login user's home is copied up with its owner, as sshd wants it. */
async function writeLoginKey(upper: string, loginKey: string): Promise<void> {
  const home = join(upper, 'home', loginUser);
  const ssh = join(home, '.ssh');
  const file = join(ssh, 'authorized_keys');
  await mkdir(ssh, { recursive: true });
  await writeFile(file, `${loginKey}\n`);
  await chmod(home, 0o755);
  await chmod(ssh, 0o700);
  await chmod(file, 0o600);
  for (const path of [home, ssh, file]) await chown(path, loginUid, loginUid);
}
