/** Keys of the sandbox's machines: one key for the login user of all, host keys for each, and the known_hosts file of them. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import ssh2 from 'ssh2';

import { paths } from '../layout.ts';

export interface KeyPair {
  readonly private: string;
  readonly public: string;
}

/** ssh2 drops a leading zero byte of a new key, so that one in about 130 is a key that sshd cannot load: those are made again. */
export function newKeyPair(comment: string): KeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    if (isWhole(pair)) return pair;
  }
}

/** Whether what the private half signs, the public half verifies. */
function isWhole(pair: KeyPair): boolean {
  const [secret, known] = [ssh2.utils.parseKey(pair.private), ssh2.utils.parseKey(pair.public)];
  if (secret instanceof Error || known instanceof Error) return false;
  const data = Buffer.from('meshlift-sandbox');
  try {
    return known.verify(data, secret.sign(data));
  } catch {
    // A key whose seed is a byte short does not sign at all.
    return false;
  }
}

/** Makes the login key where there is none; answers its public half. */
export function ensureSshKey(): string {
  if (!existsSync(paths.sshKey)) {
    const pair = newKeyPair('meshlift-sandbox');
    mkdirSync(paths.ssh, { recursive: true, mode: 0o700 });
    writeFileSync(`${paths.sshKey}.pub`, `${pair.public}\n`);
    writeFileSync(`${paths.sshKey}.new`, pair.private, { mode: 0o600 });
    renameSync(`${paths.sshKey}.new`, paths.sshKey);
  }
  return readFileSync(`${paths.sshKey}.pub`, 'utf8').trim();
}

/** Adds the line of a machine; any older one of its address goes. */
export function trustHost(address: string, publicKey: string): void {
  forgetHost(address);
  const [type, key] = publicKey.split(' ');
  mkdirSync(dirname(paths.knownHosts), { recursive: true, mode: 0o700 });
  appendFileSync(paths.knownHosts, `${address} ${type ?? ''} ${key ?? ''}\n`);
}

/** Type and key of the host that is known by this address. */
export function hostKeyOf(address: string): string | undefined {
  if (!existsSync(paths.knownHosts)) return undefined;
  const line = readFileSync(paths.knownHosts, 'utf8')
    .split('\n')
    .find((known) => known.startsWith(`${address} `));
  return line?.slice(address.length + 1);
}

export function forgetHost(address: string): void {
  if (!existsSync(paths.knownHosts)) return;
  const kept = readFileSync(paths.knownHosts, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(`${address} `));
  writeFileSync(`${paths.knownHosts}.new`, kept.map((line) => `${line}\n`).join(''));
  renameSync(`${paths.knownHosts}.new`, paths.knownHosts);
}
