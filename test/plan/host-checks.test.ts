import { describe, expect, test } from '@jest/globals';

import { conditionsOf } from '../../workflows/plan/conditions.ts';
import type { PlanInput } from '../../workflows/plan/plan-input.ts';
import { othersOnHost } from '../../workflows/plan/same-host.ts';
import { cluster, fresh, machine, member, now, request, without } from './facts.ts';

const find = (input: PlanInput, type: string) => conditionsOf(input, now).find((condition) => condition.type === type);

const owned = (owner: string): PlanInput => ({
  ...fresh,
  machine: { ...machine, journal: { ...machine.journal, owner } },
});
const sharing = (other: { namespace: string; name: string; hostKey?: string }): PlanInput => ({
  ...fresh,
  sharing: [other],
});

describe('a host belongs to one machine', () => {
  test('and is free where nobody else has it', () => {
    expect(find({ ...fresh, sharing: [] }, 'HostUnique')).toMatchObject({ status: 'True' });
    expect(find({ ...owned('shop/orders-1'), sharing: [] }, 'HostUnique')).toMatchObject({ status: 'True' });
  });

  const taken: readonly (readonly [string, PlanInput, RegExp])[] = [
    ['a file on it names another of the namespace', owned('shop/orders-2'), /is machine shop\/orders-2 already/],
    ['a file on it names another namespace', owned('bank/orders-1'), /is a machine of another namespace already/],
    [
      'another machine has its key',
      sharing({ namespace: 'shop', name: 'orders-2', hostKey: machine.hostKeyFingerprint }),
      /the host key of machine shop\/orders-2/,
    ],
    [
      'another machine has its address',
      sharing({ namespace: 'bank', name: 'x' }),
      /the address of a machine of another/,
    ],
  ];
  test.each(taken)('not where %s', (_title, input, message) => {
    const found = find(input, 'HostUnique');
    expect(found).toMatchObject({ status: 'False', category: 'Critical', message: expect.stringMatching(message) });
    expect(found?.message).not.toContain('bank');
  });

  test('whichever name it is reached by: its key and its place are compared with those of every other machine', () => {
    const hostKey = machine.hostKeyFingerprint;
    const known = [
      { namespace: 'shop', name: 'orders-1', hostKey, hostPlace: '192.0.2.11:22' },
      { namespace: 'bank', name: 'same-key', hostKey, hostPlace: '192.0.2.99:22' },
      { namespace: 'bank', name: 'same-place', hostKey: 'SHA256:other', hostPlace: '192.0.2.11:22' },
      { namespace: 'bank', name: 'same-address-other-port', hostKey: 'SHA256:other', hostPlace: '192.0.2.11:2222' },
      { namespace: 'bank', name: 'behind-a-jump-host', hostPlace: '192.0.2.11:22 via 192.0.2.1:22' },
    ];
    const others = othersOnHost(known, { namespace: 'shop', name: 'orders-1', host: request.host, hostKey });
    expect(others.map(({ name }) => name)).toEqual(['same-key', 'same-place']);
  });
});

describe('a name belongs to one host', () => {
  const objectsOf = (key: string, host: string) => [
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: {
        name: 'meshlift-orders-1',
        namespace: 'shop',
        labels: { 'meshlift.dev/machine': 'orders-1' },
        annotations: { 'meshlift.dev/host-key': key, 'meshlift.dev/host': host },
      },
    },
  ];

  test('so objects that another host left behind under it are Critical', () => {
    const input = { ...fresh, cluster: { ...cluster, objects: objectsOf('SHA256:other', '192.0.2.99:22') } };
    expect(find(input, 'HostnameUnique')).toMatchObject({ status: 'False', reason: 'NameOfOtherHost' });
  });

  test('and its own host, with a key that was made anew, is no other one', () => {
    const input = { ...fresh, cluster: { ...cluster, objects: objectsOf('SHA256:other', '192.0.2.11:22') } };
    expect(find(input, 'HostnameUnique')).toMatchObject({ status: 'True' });
    expect(find(member, 'HostnameUnique')).toBeUndefined();
  });
});

test('a host that no policy allows is one Critical finding, and nothing is known of the machine', () => {
  const failures = { machine: { type: 'HostNotAllowed', message: 'No HostPolicy names namespace shop' } };
  const found = conditionsOf({ ...without(fresh, 'machine', 'rendered'), failures }, now);
  expect(found.find(({ type }) => type === 'HostAllowed')).toMatchObject({ status: 'False', category: 'Critical' });
  expect(found.map(({ type }) => type)).not.toContain('Reachable');
  expect(find(fresh, 'HostAllowed')).toMatchObject({ status: 'True' });
});
