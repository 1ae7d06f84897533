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
  account: { namespace: 'shop', serviceAccount: 'orders' },
  hasProbe: true,
  tokenExpiresAt: now,
  awaitsRestart: [],
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
    'IdentityMatches True',
    'ConfigAccepted True',
    'Registered True',
    'Healthy True',
    'ProxyUpToDate True',
  ]);
});

test('claims no health of a group without a probe', () => {
  const types = memberConditions({ ...evidence, hasProbe: false }, 'shop/orders-1', now).map(({ type }) => type);
  expect(types).toContain('Registered');
  expect(types).not.toContain('Healthy');
});

const runs = (runningVersion: string, installedVersion = runningVersion) => ({
  ...evidence,
  machine: { ...memberMachine, installedVersion, proxy: { ...memberMachine.proxy, runningVersion } },
});
test.each([
  ['a package', runs('1.29.2', '1.30.0-1'), 'istio-sidecar 1.30.0-1'],
  ['a file', { ...evidence, awaitsRestart: ['/etc/istio/config/mesh'] }, '/etc/istio/config/mesh'],
])('says that the proxy must be restarted to take up %s changed under it, and how', (_title, changed, what) => {
  const found = memberConditions(changed, 'shop/orders-1', now).at(-1);
  expect(found).toMatchObject({
    type: 'ProxyUpToDate',
    status: 'False',
    category: 'Warning',
    reason: 'RestartRequired',
  });
  expect(found?.message).toContain('shop/orders-1');
  expect(found?.message).toContain(what);
  expect(found?.message).toContain('restart-proxy');
});

test.each([undefined, 'spiffe://cluster.local/ns/shop/sa/another'])('finds a proxy that is %s', (spiffeId) => {
  const proxy = { ready: true, ...(spiffeId === undefined ? {} : { spiffeId }) };
  const conditions = memberConditions({ ...evidence, machine: { ...memberMachine, proxy } }, 'shop/orders-1', now);
  expect(conditions.find(({ type }) => type === 'IdentityMatches')).toMatchObject({
    status: 'False',
    category: 'Critical',
    reason: 'IdentityDiffers',
  });
});

test('advises of a proxy that runs behind its istiod', () => {
  const behind = runs('1.29.2');
  expect(memberConditions(behind, 'shop/orders-1', now).at(-1)).toMatchObject({
    status: 'False',
    reason: 'VersionBehind',
  });
});

test.each([
  ['the address that was asked for', { ...request, addressing: { ip: '203.0.113.5' } }, '10.0.0.5', '203.0.113.5'],
  ['the one in its files while that is still its own', request, '10.0.0.5', '10.0.0.5'],
  ['its own, where its files hold none', request, undefined, '192.0.2.11'],
])('registers with %s', (_title, asked, registered, expected) => {
  const facts = {
    ...machine,
    addresses: ['192.0.2.11', '10.0.0.5'],
    ...(registered === undefined ? {} : { registeredAddress: registered }),
  };
  expect(registeredAddress(asked, facts)).toBe(expected);
  expect(renderMachineFiles({ request: asked, cluster, machine: facts }).address).toBe(expected);
});

test('leaves by the address that it registered with, also when it has another since; a new start takes the present one', () => {
  const facts = { ...machine, registeredAddress: '10.0.0.9' };
  expect(registeredAddress(request, facts)).toBe('10.0.0.9');
  expect(renderMachineFiles({ request, cluster, machine: facts }).address).toBe('192.0.2.11');
});
