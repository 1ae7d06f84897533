import { describe, expect, test } from '@jest/globals';

import type { HostPolicy } from '../../activities/ports/cluster-port.ts';
import type { LocatedHost } from '../../activities/ports/host-port.ts';
import { isInCidr } from '../../workflows/plan/cidr.ts';
import { hostRefusal } from '../../workflows/plan/host-policy.ts';

const fingerprint = (letter: string): string => `SHA256:${letter.repeat(43)}`;

const policy: HostPolicy = {
  name: 'shop',
  namespaces: ['shop'],
  cidrs: ['192.0.2.0/28'],
  hostKeys: [`${fingerprint('K')}=`],
  credentials: ['fleet'],
  users: ['ops'],
};

const host: LocatedHost = {
  address: 'orders-1.example',
  ip: '192.0.2.10',
  user: 'ops',
  credentialsName: 'fleet',
  hostKey: { trustOnFirstUse: true },
  hostKeys: [],
};

const refusal = (
  changes: Partial<LocatedHost>,
  policies: readonly HostPolicy[] = [policy],
  outer?: readonly string[],
): string | undefined => hostRefusal({ namespace: 'shop', host: { ...host, ...changes } }, policies, outer);

describe('a host policy', () => {
  const allowed: readonly (readonly [string, Partial<LocatedHost>, HostPolicy])[] = [
    ['an address in its networks', {}, policy],
    ['a pinned key that it lists, wherever the host is', { ip: '203.0.113.9', hostKeys: [fingerprint('K')] }, policy],
    [
      'any credential and user where it says so',
      { user: 'root', credentialsName: 'other' },
      { ...policy, credentials: ['*'], users: ['*'] },
    ],
    ['any namespace where it says so', {}, { ...policy, namespaces: ['*'] }],
    ['a jump host that fits as well', { jump: { ...host, ip: '192.0.2.11' } }, policy],
  ];
  test.each(allowed)('allows %s', (_title, changes, given) => {
    expect(refusal(changes, [given])).toBeUndefined();
  });

  const refused: readonly (readonly [string, Partial<LocatedHost>, RegExp])[] = [
    ['another address', { ip: '192.0.2.16' }, /shop does not allow the address 192\.0\.2\.16 or its host key/],
    ['an address inside IPv6 that is not listed', { ip: '::ffff:203.0.113.9' }, /does not allow the address/],
    ['another key', { ip: '203.0.113.9', hostKeys: [fingerprint('L')] }, /or its host key/],
    [
      'keys of which one is not listed',
      { ip: '203.0.113.9', hostKeys: [fingerprint('K'), fingerprint('L')] },
      /or its host key/,
    ],
    ['another login', { user: 'root' }, /does not allow the user root/],
    ['another credential', { credentialsName: 'bank' }, /does not allow the credential bank/],
    ['a jump host elsewhere', { jump: { ...host, ip: '203.0.113.9' } }, /the address 203\.0\.113\.9/],
    ['several faults at once', { user: 'root', credentialsName: 'bank' }, /the credential bank, the user root/],
  ];
  test.each(refused)('refuses %s, and says what does not fit', (_title, changes, message) => {
    expect(refusal(changes)).toMatch(message);
  });

  test('is needed: without one for the namespace nothing may be claimed', () => {
    expect(refusal({}, [])).toMatch(/No HostPolicy names namespace shop/);
    expect(refusal({}, [{ ...policy, namespaces: ['bank'] }])).toMatch(/No HostPolicy names namespace shop/);
  });

  test('allows as a whole: two policies that each allow a part allow nothing together', () => {
    const elsewhere = { ...policy, name: 'elsewhere', cidrs: ['203.0.113.0/24'], users: ['root'] };
    expect(refusal({ user: 'root' }, [policy, elsewhere])).toMatch(/No HostPolicy lets namespace shop use root@/);
  });

  test("does not reach past the worker's own limit", () => {
    expect(refusal({}, [policy], ['192.0.2.0/24'])).toBeUndefined();
    expect(refusal({}, [policy], ['203.0.113.0/24'])).toMatch(/outside of MESHLIFT_HOST_CIDRS/);
    const jump = { ...host, ip: '192.0.2.11' };
    expect(refusal({ jump }, [policy], ['192.0.2.10/32'])).toMatch(/192\.0\.2\.11.*outside of MESHLIFT_HOST_CIDRS/);
  });
});

test.each([
  ['192.0.2.10', '192.0.2.0/24', true],
  ['192.0.2.10', '192.0.2.10/32', true],
  ['192.0.3.10', '192.0.2.0/24', false],
  ['192.0.2.10', '0.0.0.0/0', true],
  ['2001:db8::7', '2001:db8::/32', true],
  ['2001:db9::7', '2001:db8::/32', false],
  ['2001:db8:0:0:0:0:0:7', '2001:db8::7/128', true],
  ['192.0.2.10', '::/0', false],
  ['::ffff:192.0.2.10', '192.0.2.0/24', true],
  ['::192.0.2.10', '::/96', true],
  ['192.0.2.010', '192.0.2.0/24', false],
  ['192.0.2', '192.0.2.0/24', false],
  ['192.0.2.10', '192.0.2.0', false],
  ['192.0.2.10', '192.0.2.0/33', false],
  ['192.0.2.10', '192.0.2.0/24/24', false],
  ['1::2::3', '::/0', false],
  ['1:2:3:4:5:6:7:8:9', '::/0', false],
  ['orders.example', '0.0.0.0/0', false],
])('%s in %s: %s', (address, cidr, isIn) => {
  expect(isInCidr(address, cidr)).toBe(isIn);
});
