import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import {
  type HostAnswer,
  parseAnswer,
  parseApplyResult,
  parseFacts,
  parseTraffic,
} from '../../activities/adapters/host-answer.ts';

/** Answer of a Debian machine in the mesh, as its script printed it. */
const inMesh = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'host', 'inspect-in-mesh.json'), 'utf8'),
) as HostAnswer;
const began = Date.parse('2026-11-22T20:18:58.500Z');
const visit = { hostKeyFingerprint: 'SHA256:key', reachedAt: '10.245.0.11', began, ended: began + 1_000 };
const facts = (changes: HostAnswer = {}) => parseFacts({ ...inMesh, ...changes }, visit);

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
      resolver: { nameservers: ['10.245.0.1'], services: [], sources: ['files', 'dns'] },
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
  expect(parseFacts({}, visit)).toMatchObject({
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

test('of a step that is told more than once the last line counts', () => {
  const step = ['op-1\tfiles\tstarted', 'op-1\tstart\tstarted', 'op-1\tfiles\tdone'];
  expect(parseFacts({ step }, visit).journal.steps).toEqual([
    { operation: 'op-1', step: 'files', result: 'done' },
    { operation: 'op-1', step: 'start', result: 'started' },
  ]);
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

describe('what stands around the proxy', () => {
  test('connections say their direction, and those of sshd are left out', () => {
    const connection = [
      'in 10.245.0.11:8080 10.245.0.2 app',
      'in 10.245.0.11:22 10.245.0.1 sshd',
      'out 10.245.0.11 10.245.0.9:5432 ',
    ];
    expect(facts({ connection }).connections).toEqual([
      { local: '10.245.0.11:8080', remote: '10.245.0.2', direction: 'inbound', process: 'app' },
      { local: '10.245.0.11', remote: '10.245.0.9:5432', direction: 'outbound' },
    ]);
  });

  test('flag files, interfaces, processes, rules of others and resolvers', () => {
    const found = facts({
      isHeld: ['yes'],
      isEnforced: ['yes'],
      excludedPort: ['3306', '25', '3306'],
      proxyProcess: ['envoy', 'envoy', 'pilot-agent'],
      redirect: ['-A PREROUTING -p tcp -j REDIRECT', '-A PREROUTING -p tcp -j REDIRECT'],
      interface: ['lo', 'host0@if9', 'docker0'],
      resolver: ['consul', 'systemd-resolved'],
      nameSwitch: ['hosts: files resolve [!UNAVAIL=return] dns'],
    });
    expect(found).toMatchObject({
      isHeld: true,
      isEnforced: true,
      excludedPorts: [25, 3306],
      proxyProcesses: ['envoy', 'pilot-agent'],
      redirects: ['-A PREROUTING -p tcp -j REDIRECT'],
      interfaces: ['lo', 'host0', 'docker0'],
      resolver: { services: ['systemd-resolved', 'consul'], sources: ['files', 'resolve', 'dns'] },
    });
    expect(facts()).toMatchObject({ isHeld: false, isEnforced: false, excludedPorts: [] });
  });

  test('what was connected to', () => {
    const target = ['10.0.0.1:15012 reached', '[2001:db8::1]:15012 refused'];
    expect(facts({ serverFirst: ['3306'], target })).toMatchObject({
      serverFirstPorts: [3306],
      targets: [
        { target: '10.0.0.1:15012', isReachable: true },
        { target: '[2001:db8::1]:15012', isReachable: false },
      ],
    });
  });

  const clocks: readonly (readonly [time: string, workerTime: string])[] = [
    ['2026-11-22T20:18:59Z', '2026-11-22T20:18:59.000Z'],
    ['2026-11-22T20:17:59Z', '2026-11-22T20:18:58.500Z'],
    ['2026-11-22T20:19:59Z', '2026-11-22T20:18:59.500Z'],
    ['nonsense', '2026-11-22T20:18:59.500Z'],
  ];
  test.each(clocks)("a machine's time of %s is compared with %s", (time, workerTime) => {
    expect(facts({ time: [time] })).toMatchObject({ machineTime: time, workerTime });
  });
});

test('what a proxy enforces and whom the machine talks to is told where it was asked', () => {
  const visit = { hostKeyFingerprint: '', reachedAt: '192.0.2.11', began: 0, ended: 0 };
  const answer = {
    policy: ['read'],
    plaintext: ['*', '2525'],
    authorization: ['shop/meshlift-orders-1'],
    passthrough: ['198.51.100.7:443'],
    plaintextServed: ['0'],
    flow: ['in 192.0.2.11:8080 192.0.2.99', 'out 192.0.2.11 198.51.100.7:443'],
  };
  const { proxy, flows } = parseFacts(answer, visit);
  expect(proxy).toMatchObject({
    policy: { plaintextPorts: ['*', '2525'], reachesAnything: false, authorizations: ['shop/meshlift-orders-1'] },
    passthrough: ['198.51.100.7:443'],
    plaintextServed: 0,
  });
  expect(flows).toEqual([
    { local: '192.0.2.11:8080', remote: '192.0.2.99', direction: 'inbound' },
    { local: '192.0.2.11', remote: '198.51.100.7:443', direction: 'outbound' },
  ]);
  expect(parseFacts({}, visit).proxy).toEqual({ ready: false });
});

test('the result of a step says what changed, and whether an earlier attempt did it', () => {
  expect(parseApplyResult({})).toEqual({ changed: [], recorded: false });
  expect(parseApplyResult({ changed: ['StartProxy istio.service'], invocationId: ['ab'], recorded: ['yes'] })).toEqual({
    changed: ['StartProxy istio.service'],
    invocationId: 'ab',
    recorded: true,
  });
  expect(parseApplyResult({ changed: ['WriteFile /a', 'WriteFile /a', 'WriteFile /b'] }).changed).toEqual([
    'WriteFile /a',
    'WriteFile /b',
  ]);
});

test('what a proxy served meanwhile is told from its counters before and after', () => {
  const answer = {
    proxyUp: ['yes', 'yes'],
    active: ['3', '1'],
    total: ['100', '104'],
    overMtls: ['7', '7'],
    outboundFailed: ['0', '2'],
    sender: ['10.0.0.1', '10.0.0.1', 'fd00::5'],
  };
  expect(parseTraffic(answer)).toEqual({
    isProxyUp: true,
    active: 1,
    came: 4,
    cameOverMtls: 0,
    outboundFailed: 2,
    senders: ['10.0.0.1', 'fd00::5'],
  });
  expect(parseTraffic({})).toEqual({ isProxyUp: false, active: 0, came: 0, outboundFailed: 0, senders: [] });
});

test('an answer that did not arrive whole is none', () => {
  const [begin, end] = ['-----BEGIN MESHLIFT ANSWER-----', '-----END MESHLIFT ANSWER-----'];
  expect(parseAnswer(`${begin}\nchanged\tWriteFile /etc/hosts\n${end}\n`)).toEqual({
    changed: ['WriteFile /etc/hosts'],
  });
  expect(parseAnswer(`${begin}\nchanged\tWriteFile /etc/ho`)).toBeUndefined();
  expect(parseAnswer(`This account is not available.\n${end}\n`)).toBeUndefined();
});
