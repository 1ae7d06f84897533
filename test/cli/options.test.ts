import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, test } from '@jest/globals';

import { type CheckOptions, readOptions } from '../../cli/options.ts';

const home = mkdtempSync(join(tmpdir(), 'meshlift-options-'));
mkdirSync(join(home, '.ssh'));
const key = join(home, '.ssh', 'id_ed25519');
writeFileSync(key, 'a key');
writeFileSync(join(home, '.ssh', 'known_hosts'), '192.0.2.10 ssh-ed25519 AAAA\n');
afterAll(() => {
  rmSync(home, { recursive: true });
});

const least = ['--host', 'ops@192.0.2.10', '--namespace', 'shop', '--group', 'orders'];

function optionsOf(args: readonly string[], env: Readonly<Record<string, string>> = {}): CheckOptions {
  const read = readOptions(args, { HOME: home, ...env });
  if ('faults' in read) throw new Error(read.faults.join('; '));
  return read.options;
}
const faultsOf = (...args: readonly string[]): readonly string[] => {
  const read = readOptions(args, { HOME: home });
  return 'faults' in read ? read.faults : [];
};

test('the least that is needed, with the key and the known hosts that ssh itself would take', () => {
  expect(optionsOf(least)).toEqual({
    request: {
      name: '',
      namespace: 'shop',
      workloadGroup: 'orders',
      host: {
        user: 'ops',
        address: '192.0.2.10',
        credentialsName: 'login',
        hostKey: { knownHosts: '192.0.2.10 ssh-ed25519 AAAA\n' },
      },
    },
    credential: { privateKey: 'a key', source: key },
    isJson: false,
    istioNamespace: 'istio-system',
  });
});

test('an SSH agent goes before a key that is not named, and after one that is', () => {
  const agent = { SSH_AUTH_SOCK: '/run/agent' };
  expect(optionsOf(least, agent).credential).toEqual({ agent: '/run/agent', source: 'the SSH agent' });
  expect(optionsOf([...least, '--identity', key], agent).credential).toMatchObject({ source: key });
});

test('a whole call', () => {
  const { request, packages, isJson } = optionsOf([
    ...['--host', 'ops@[2001:db8::7]:2222', '--namespace', 'shop', '--group', 'orders', '--name', 'orders-1'],
    ...['--jump', 'hop@jump.example:23', '--revision', 'canary', '--label', 'app=orders', '--label', 'tier=web'],
    ...['--port', 'http=8080', '--packages', '/srv', '--json'],
  ]);
  expect(request).toMatchObject({
    name: 'orders-1',
    revision: 'canary',
    workload: { labels: { app: 'orders', tier: 'web' }, ports: { http: 8080 } },
    host: { user: 'ops', address: '2001:db8::7', port: 2222, jump: { user: 'hop', address: 'jump.example', port: 23 } },
  });
  expect({ packages, isJson }).toEqual({ packages: '/srv', isJson: true });
});

const hosts: readonly (readonly [text: string, address: string, port: number | undefined])[] = [
  ['ops@orders-1.example', 'orders-1.example', undefined],
  ['ops@192.0.2.10:2022', '192.0.2.10', 2022],
  ['ops@2001:db8::7', '2001:db8::7', undefined],
  ['ops@[2001:db8::7]', '2001:db8::7', undefined],
];
test.each(hosts)('the host %s', (text, address, port) => {
  const { host } = optionsOf(['--host', text, ...least.slice(2)]).request;
  expect({ address: host.address, port: host.port }).toEqual({ address, port });
});

describe('refuses, with the option in its words,', () => {
  const rows: readonly (readonly [title: string, args: readonly string[], says: string])[] = [
    ['a call without a host', least.slice(2), '--host is missing'],
    ['a host without a user', ['--host', '192.0.2.10', ...least.slice(2)], '--host'],
    ['a namespace that is no name', [...least.slice(0, 2), '--namespace', 'Shop', '--group', 'orders'], '--namespace'],
    ['a group that is no name', [...least.slice(0, 4), '--group', 'a b'], '--group'],
    ['a jump host without a user', [...least, '--jump', 'jump'], '--jump'],
    ['a port that is no number', [...least, '--port', 'http=web'], '--label or --port'],
    ['a key that is not there', [...least, '--identity', '/nowhere/key'], '--identity /nowhere/key does not exist'],
    ['known hosts that are not there', [...least, '--known-hosts', '/nowhere/hosts'], '--known-hosts /nowhere/hosts'],
    ['an option that is none', [...least, '--force'], '--force'],
  ];
  test.each(rows)('%s', (_title, args, says) => {
    expect(faultsOf(...args).join('\n')).toContain(says);
  });
});
