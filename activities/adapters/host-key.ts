/** Whether a server's key is the one the request pinned; asked before anything else is sent. */
import { createHash } from 'node:crypto';

import type { ServerHostKeyAlgorithm } from 'ssh2';

import type { HostKey } from '../../api/schemas/machine.ts';
import { findKnownKeys } from './known-hosts.ts';

export interface HostKeyCheck {
  accepts(key: Buffer): boolean;
  /** Key algorithms to offer, one connection each until a key is accepted; undefined offers all. */
  readonly offers: readonly (ServerHostKeyAlgorithm[] | undefined)[];
  /** Why a key is refused, for the message. */
  readonly refusal: string;
}

const families: Readonly<Record<string, ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/** As `ssh-keygen -lf` prints it: SHA-256, base64 without padding. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** Fingerprints of every key that a request accepts of a host; none where it trusts on first use. */
export function pinnedFingerprints(hostKey: HostKey, address: string, port: number): readonly string[] {
  if ('fingerprint' in hostKey) return [hostKey.fingerprint];
  if (!('knownHosts' in hostKey)) return [];
  const { trusted, revoked } = findKnownKeys(hostKey.knownHosts, address, port);
  return trusted.filter((key) => !revoked.includes(key)).map((key) => fingerprintOf(Buffer.from(key, 'base64')));
}

/**
 * The check for a pinned key. A fingerprint does not say its key's type, so that each type is asked for before it counts as a
 * mismatch; known_hosts lines do. Trust on first use pins nothing and accepts nothing here: read the key first, then pin it.
 */
export function hostKeyCheck(hostKey: HostKey, address: string, port: number): HostKeyCheck {
  if ('fingerprint' in hostKey) {
    const pinned = hostKey.fingerprint.replace(/=+$/, '');
    return {
      accepts: (key) => fingerprintOf(key) === pinned,
      offers: [undefined, ...Object.values(families)],
      refusal: `${pinned} is pinned`,
    };
  }
  if ('knownHosts' in hostKey) {
    const known = findKnownKeys(hostKey.knownHosts, address, port);
    const offered = known.types.flatMap((type) => families[type] ?? []);
    return {
      accepts: (key) =>
        known.trusted.includes(key.toString('base64')) && !known.revoked.includes(key.toString('base64')),
      offers: [offered.length > 0 ? offered : undefined],
      refusal:
        known.trusted.length > 0
          ? 'the known_hosts lines hold another'
          : `no known_hosts line names ${address} port ${port}`,
    };
  }
  return {
    accepts: () => false,
    offers: [undefined],
    refusal: 'none is pinned yet: read it first (trust on first use)',
  };
}
