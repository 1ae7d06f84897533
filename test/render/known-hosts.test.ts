import { createHmac } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { fingerprintOf, hostKeyCheck } from '../../activities/adapters/host-key.ts';
import { findKnownKeys } from '../../activities/adapters/known-hosts.ts';

const ed25519 = 'AAAAC3NzaC1lZDI1NTE5AAAAIBdSOHFGiMO0hlC6NvDVRQ2qQ2yE1Fq4LQ7Kq8q6WkQ0';
const rsa = 'AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7';
const hashed = (name: string): string => {
  const salt = Buffer.from('twenty bytes of salt');
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
};

describe('known_hosts lines', () => {
  const rows: readonly (readonly [title: string, line: string, address: string, port: number, isKnown: boolean])[] = [
    ['a plain address', `10.0.0.5 ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, true],
    ['one of several names', `orders-1,10.0.0.5 ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, true],
    ['a name in other case', `Orders-1.Example.com ssh-ed25519 ${ed25519}`, 'orders-1.example.com', 22, true],
    ['a port of its own', `[10.0.0.5]:2222 ssh-ed25519 ${ed25519}`, '10.0.0.5', 2222, true],
    ['a wildcard', `*.example.com ssh-ed25519 ${ed25519}`, 'a.example.com', 22, true],
    ['a character of any kind', `10.0.0.? ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, true],
    ['several wildcards', `*.ex*ple.* ssh-ed25519 ${ed25519}`, 'a.exale.example.com', 22, true],
    ['a wildcard that leaves a rest', `*.example ssh-ed25519 ${ed25519}`, 'a.example.com', 22, false],
    ['a comment behind the key', `10.0.0.5 ssh-ed25519 ${ed25519} root@orders-1`, '10.0.0.5', 22, true],
    ['a hashed name', `${hashed('10.0.0.5')} ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, true],
    ['a hashed name with a port', `${hashed('[10.0.0.5]:2222')} ssh-ed25519 ${ed25519}`, '10.0.0.5', 2222, true],
    ['another hashed name', `${hashed('10.0.0.6')} ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, false],
    ['the default port where another is asked', `10.0.0.5 ssh-ed25519 ${ed25519}`, '10.0.0.5', 2222, false],
    ['a dot as any character', `10.0.0.5 ssh-ed25519 ${ed25519}`, '10x0.0.5', 22, false],
    ['a negated name', `*.example.com,!b.example.com ssh-ed25519 ${ed25519}`, 'b.example.com', 22, false],
    ['a comment line', `# 10.0.0.5 ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, false],
    ['a certificate authority', `@cert-authority 10.0.0.5 ssh-ed25519 ${ed25519}`, '10.0.0.5', 22, false],
    ['a line without a key', '10.0.0.5 ssh-ed25519', '10.0.0.5', 22, false],
  ];

  test.each(rows)('%s counts or does not', (_title, line, address, port, isKnown) => {
    expect(findKnownKeys(line, address, port).trusted).toEqual(isKnown ? [ed25519] : []);
  });

  test('a pattern that is all wildcards is answered at once', () => {
    const name = 'a'.repeat(250);
    const started = Date.now();
    expect(findKnownKeys(`${'*a'.repeat(2_000)}b ssh-ed25519 ${ed25519}`, name, 22).trusted).toEqual([]);
    expect(findKnownKeys(`${'*a'.repeat(200)}*b ssh-ed25519 ${ed25519}`, name, 22).trusted).toEqual([]);
    expect(Date.now() - started).toBeLessThan(500);
  });

  test('all lines of a host count together, revoked keys apart', () => {
    const lines = `10.0.0.5 ssh-ed25519 ${ed25519}\r\n@revoked 10.0.0.5 ssh-rsa ${rsa}\n10.0.0.5 ssh-rsa ${rsa}\n`;
    expect(findKnownKeys(lines, '10.0.0.5', 22)).toEqual({
      trusted: [ed25519, rsa],
      revoked: [rsa],
      types: ['ssh-ed25519', 'ssh-rsa'],
    });
  });
});

describe('the check of a host key', () => {
  const key = Buffer.from(ed25519, 'base64');
  const other = Buffer.from(rsa, 'base64');

  test('accepts the pinned fingerprint alone, with and without padding', () => {
    const check = hostKeyCheck({ fingerprint: `${fingerprintOf(key)}=` }, '10.0.0.5', 22);
    expect([check.accepts(key), check.accepts(other)]).toEqual([true, false]);
    expect(check.offers.length).toBeGreaterThan(1);
  });

  test('accepts what the known_hosts lines hold and asks the server for keys of their types', () => {
    const check = hostKeyCheck({ knownHosts: `10.0.0.5 ssh-rsa ${rsa}` }, '10.0.0.5', 22);
    expect([check.accepts(other), check.accepts(key)]).toEqual([true, false]);
    expect(check.offers).toEqual([['rsa-sha2-512', 'rsa-sha2-256']]);
  });

  test('never accepts a revoked key', () => {
    const knownHosts = `10.0.0.5 ssh-rsa ${rsa}\n@revoked * ssh-rsa ${rsa}`;
    expect(hostKeyCheck({ knownHosts }, '10.0.0.5', 22).accepts(other)).toBe(false);
  });

  test('accepts nothing where trust on first use has pinned nothing yet', () => {
    const check = hostKeyCheck({ trustOnFirstUse: true }, '10.0.0.5', 22);
    expect(check.accepts(key)).toBe(false);
    expect(check.refusal).toContain('read it first');
  });
});
