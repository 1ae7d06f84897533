import { expect, test } from '@jest/globals';

import { renderMachineFiles } from '../../activities/render/machine-files.ts';
import { describeMember, memberConditions, registeredAddress } from '../../workflows/plan/evidence.ts';
import { cluster, machine, memberMachine, now, request } from './facts.ts';

const evidence = {
  machine: memberMachine,
  revision: cluster.revision,
  connected: {
    istiodPod: 'istiod-1-30-0-abc',
    revision: '1-30-0',
    version: '1.30.0',
    unacknowledged: [],
    rejected: [],
  },
  tokenExpiresAt: now,
};

test('describes a member by what was seen of it', () => {
  expect(describeMember(evidence)).toEqual({
    proxy: {
      installedVersion: '1.30.0',
      runningVersion: '1.30.0',
      revision: '1-30-0',
      desiredVersion: '1.30.0',
      desiredRevision: '1-30-0',
      connected: true,
      configAccepted: true,
    },
    identity: { spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders', tokenExpiresAt: now },
  });
});

test('claims what the verification proved', () => {
  const conditions = memberConditions(evidence, 'shop/orders-1', now);
  expect(conditions.map(({ type, status }) => `${type} ${status}`)).toEqual([
    'ProxyReady True',
    'Connected True',
    'ConfigAccepted True',
    'Registered True',
    'Healthy True',
    'ProxyUpToDate True',
  ]);
});

test('advises of a proxy that runs behind its istiod', () => {
  const behind = {
    ...evidence,
    machine: { ...memberMachine, proxy: { ...memberMachine.proxy, runningVersion: '1.29.2' } },
  };
  expect(memberConditions(behind, 'shop/orders-1', now).at(-1)).toMatchObject({
    status: 'False',
    reason: 'VersionBehind',
  });
});

test.each([
  [
    'the address that was asked for',
    { ...request, addressing: { ip: '203.0.113.5' } },
    machine.addresses,
    '203.0.113.5',
  ],
  ['the address it is reached by, where that is its own', request, ['10.0.0.5', '192.0.2.11'], '192.0.2.11'],
  ['its first address, where it is reached by another', request, ['10.0.0.5', '10.0.0.6'], '10.0.0.5'],
  ['the address it is reached by, where it names none', request, [], '192.0.2.11'],
])('registers with %s', (_title, asked, addresses, expected) => {
  const facts = { ...machine, addresses };
  expect(registeredAddress(asked, facts)).toBe(expected);
  expect(renderMachineFiles({ request: asked, cluster, machine: facts }).address).toBe(expected);
});
