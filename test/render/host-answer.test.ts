import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { type HostAnswer, parseApplyResult, parseFacts } from '../../activities/adapters/host-answer.ts';

/** Answer of a Debian machine in the mesh, as its script printed it. */
const inMesh = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'host', 'inspect-in-mesh.json'), 'utf8'),
) as HostAnswer;
const facts = (changes: HostAnswer = {}) => parseFacts({ ...inMesh, ...changes }, 'SHA256:key', '10.245.0.11');

describe('the facts of a machine in the mesh', () => {
  test('say what it is', () => {
    expect(facts()).toMatchObject({
      hostKeyFingerprint: 'SHA256:key',
      hostname: 'orders-1',
      resolvesOwnHostname: true,
      os: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12 (bookworm)' },
      architecture: 'amd64',
      packageFormat: 'deb',
      hasSystemd: true,
      missingTools: [],
      addresses: ['10.245.0.11'],
      resolver: { nameservers: ['10.245.0.1'] },
      freeBytes: 64_190_724 * 1024,
    });
  });

  test('say what runs', () => {
    expect(facts()).toMatchObject({
      installedVersion: '1.30.0',
      unit: { exists: true, activeState: 'active', enabled: true, invocationId: '221e6012f3b24f78b132d724a0a409a2' },
      proxy: {
        ready: true,
        runningVersion: '1.30.0',
        spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders',
        certificateExpiresAt: '2026-11-23T20:17:46Z',
      },
      isCaptured: true,
      sshdPorts: [22],
    });
    expect(facts().listening).toContainEqual({ address: '*', port: 8080, process: 'testapp' });
    expect(facts().listening).toContainEqual({ address: '::', port: 22, process: 'sshd' });
  });

  test('hold files and journal', () => {
    expect(facts().files).toContainEqual({
      path: '/var/run/secrets/tokens/istio-token',
      mode: '0600',
      owner: 'istio-proxy:istio-proxy',
      sha256: '8cdf1a643713f3ad68a3104726d2d0da82724f1c7f67f712b0de80a2492795c1',
    });
    expect(facts().journal).toMatchObject({ fence: 1, entries: 17, deadManArmed: false });
    expect(facts().journal.steps.at(-1)).toEqual({ operation: 'op-1', step: 'confirmCapture', result: 'done' });
  });
});

test('a machine that answers next to nothing has empty facts, not wrong ones', () => {
  expect(parseFacts({}, 'SHA256:key', '10.245.0.11')).toMatchObject({
    packageFormat: 'unknown',
    hasSystemd: false,
    resolvesOwnHostname: false,
    unit: { exists: false, activeState: 'inactive', enabled: false },
    proxy: { ready: false },
    isCaptured: false,
    sshdPorts: [],
    journal: { fence: 0, steps: [], entries: 0 },
  });
});

describe('single facts', () => {
  const names: readonly (readonly [nameSwitch: string, resolvesItself: boolean])[] = [
    ['hosts: files dns', false],
    ['hosts: files myhostname dns', true],
    ['hosts: files dns myhostname', false],
    ['hosts: files resolve [!UNAVAIL=return] dns myhostname', true],
  ];
  test.each(names)('without a line in /etc/hosts, %j', (nameSwitch, resolvesItself) => {
    expect(facts({ hostsFile: [], nameSwitch: [nameSwitch] }).resolvesOwnHostname).toBe(resolvesItself);
  });

  test('sshd is found where systemd listens for it, and where its configuration says', () => {
    const found = facts({ listening: [], sshdPort: ['22', '2222'], sshdSocket: ['Listen=[::]:2022 (Stream)'] });
    expect(found.sshdPorts).toEqual([22, 2022, 2222]);
  });

  test('loopback and link-local addresses are left out', () => {
    const address = ['10.0.0.5', '169.254.1.1', 'fe80::1', '2001:db8::5', '127.0.0.1'];
    expect(facts({ address }).addresses).toEqual(['10.0.0.5', '2001:db8::5']);
  });

  const addresses: readonly (readonly [title: string, address: string[], own: string])[] = [
    ['the address it is reached by, where that is its own', ['10.0.0.5', '10.245.0.11'], '10.245.0.11'],
    ['its first address, where it is reached by another', ['10.0.0.5', '10.0.0.6'], '10.0.0.5'],
    ['the address it is reached by, where it names none', [], '10.245.0.11'],
  ];
  test.each(addresses)('the address of a machine is %s', (_title, address, own) => {
    expect(facts({ address }).ownAddress).toBe(own);
  });

  test('what a machine registered with is told by the files of Meshlift alone', () => {
    const registeredAddress = ['10.0.0.9'];
    expect(facts({ registeredAddress }).registeredAddress).toBe('10.0.0.9');
    expect(facts({ registeredAddress, entries: ['0'] }).registeredAddress).toBeUndefined();
  });

  test('a kernel name of the architecture becomes the one of Debian', () => {
    expect(facts({ architecture: ['aarch64'] }).architecture).toBe('arm64');
  });

  test('chains without a jump to them capture nothing', () => {
    expect(facts({ redirection: ['-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT'] }).isCaptured).toBe(false);
  });

  test('a certificate belongs to its file, and the block of /etc/hosts is told line by line', () => {
    const found = facts({ certificate: ['QUJD /etc/certs/root-cert.pem'], hostsBlock: ['10.0.0.1 istiod'] });
    expect(found.files.map(({ certificates }) => certificates)).toEqual([undefined, ['QUJD'], undefined]);
    expect(found.hostsBlock).toEqual(['10.0.0.1 istiod']);
    expect(facts().hostsBlock).toBeUndefined();
  });

  test('an interface behind an address is no part of it', () => {
    const listening = ['LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*', 'LISTEN 0 128 [fe80::1]%eth0:22 [::]:*'];
    expect(facts({ listening }).listening).toEqual([
      { address: '127.0.0.53', port: 53 },
      { address: 'fe80::1', port: 22 },
    ]);
  });
});

test('the result of a step says what changed, and whether an earlier attempt did it', () => {
  expect(parseApplyResult({})).toEqual({ changed: [], recorded: false });
  expect(parseApplyResult({ changed: ['StartProxy istio.service'], invocationId: ['ab'], recorded: ['yes'] })).toEqual({
    changed: ['StartProxy istio.service'],
    invocationId: 'ab',
    recorded: true,
  });
});
