import { expect, test } from '@jest/globals';

import { faultsOf, type Host } from '../../build/preflight.mjs';

const gib = 1024 ** 3;
const ready: Host = {
  platform: 'linux',
  architecture: 'x64',
  userId: 0,
  goVersion: 'go version go1.26.8 linux/amd64',
  missingCommands: [],
  hasPip: true,
  freeBytes: { cache: 50 * gib, run: 50 * gib },
  hasOverlay: true,
  hasBridgeFilter: true,
};

test('finds no fault on a machine that has everything', () => {
  expect(faultsOf(ready, false)).toEqual([]);
});

test.each<[string, Partial<Host>, RegExp]>([
  ['names root and the way without it', { userId: 1000 }, /Root is needed.*kubeconfig/],
  [
    'names an old Go',
    { goVersion: 'go version go1.25.3 linux/amd64' },
    /Go 1\.26 or newer is needed, found go version go1\.25\.3/,
  ],
  ['names a missing Go', { goVersion: undefined }, /Go 1\.26 or newer is needed, found none/],
  ['names missing Python or pip', { hasPip: false }, /install python3 and python3-pip/],
  [
    'names the package of a missing command',
    { missingCommands: ['ip'] },
    /command ip is missing; install the package iproute2/,
  ],
  ['names the architecture', { architecture: 'arm64' }, /x86-64, this machine is arm64/],
  ['names the missing overlay file system', { hasOverlay: false }, /modprobe overlay/],
  [
    'names a full disk and what is free on it',
    { freeBytes: { cache: 2 * gib, run: 50 * gib } },
    /needs 12 GiB of disk, 2\.0 GiB are free/,
  ],
])('%s', (_title, lack, fault) => {
  const faults = faultsOf({ ...ready, ...lack }, false);
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(fault);
});

test('says everything that lacks at once', () => {
  expect(
    faultsOf(
      { ...ready, userId: 1000, goVersion: undefined, hasPip: false, missingCommands: ['ip', 'openssl'] },
      false,
    ),
  ).toHaveLength(5);
});

test('says nothing but the platform where the platform is wrong', () => {
  expect(faultsOf({ ...ready, platform: 'darwin', userId: 501 }, false)).toEqual([
    expect.stringContaining('Linux only'),
  ]);
});

test('asks for no room to build what is built already', () => {
  expect(faultsOf({ ...ready, freeBytes: { cache: 2 * gib, run: 50 * gib } }, true)).toEqual([]);
});
