/** A machine of the .rpm family, as far as Debian's own rpm can stand for one: no machine with dnf or zypper is at hand. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { sshHostPort } from '../../activities/adapters/ssh-host.ts';
import type { HostApplyResult, HostChange, HostPort, LocatedHost } from '../../activities/ports/host-port.ts';
import {
  onboardRequest,
  sandbox,
  type SandboxEnv,
  sandboxEnv,
  type SandboxMachine,
} from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { inside } from '../support/inside-machine.ts';
import { becomeRpmFamily } from '../support/rpm-family.ts';
import { freshMachine } from '../support/sandbox.ts';

const version = '1.30.0';
const live = (): AbortSignal => new AbortController().signal;
let env: SandboxEnv;
let machine: SandboxMachine;
let port: HostPort;
let host: LocatedHost;
let family: Awaited<ReturnType<typeof becomeRpmFamily>>;
let fence = 0;

const apply = async (...changes: readonly HostChange[]): Promise<HostApplyResult> => {
  fence += 1;
  return await port.apply(host, { operation: `op-${fence}`, fence, step: 'step', changes }, live());
};

function packageChange(): HostChange {
  const sha256 = createHash('sha256').update(readFileSync(family.file)).digest('hex');
  return { kind: 'InstallPackage', name: 'istio-sidecar', version, sha256, localPath: family.file };
}

beforeAll(async () => {
  machine = await freshMachine('rpm', 'shop');
  env = await sandboxEnv();
  const deb = readdirSync(env.packages).find((file) => file.endsWith('.deb')) ?? '';
  family = await becomeRpmFamily(machine, join(env.packages, deb), version);
  port = sshHostPort(() => Promise.resolve({ privateKey: readFileSync(env.sshKey, 'utf8') }));
  host = await port.locate(onboardRequest(env, machine, 'rpm').host);
}, 180_000);

afterAll(async () => {
  await sandbox('machine', 'remove', machine.name);
}, 60_000);

test('is told by its tools, and its architecture by its kernel', async () => {
  const facts = await port.inspect(host, [], live());
  expect(facts).toMatchObject({ packageFormat: 'rpm', architecture: 'amd64', missingTools: [] });
  expect(facts.installedVersion).toBeUndefined();
}, 30_000);

test('a package whose dependencies are missing is refused with their names, and nothing of it stays', async () => {
  await expect(apply(packageChange())).rejects.toMatchObject({
    type: 'HostCommandFailed',
    message: expect.stringMatching(/lacks: .*hostname,iproute,iptables,sudo; install them first/) as unknown,
  });
  await apply({ kind: 'Restore' });
  expect(await inside(machine, 'rpm -qa; ls -d /var/lib/istio /var/lib/meshlift 2>/dev/null || true')).toBe('');
}, 60_000);

test('the package is installed, found, not installed again, and taken away with all that its scripts made', async () => {
  await family.dependencies();
  const asFound = await snapshot(machine);
  expect((await apply(packageChange())).changed).toEqual([`InstallPackage istio-sidecar ${version}`]);
  const facts = await port.inspect(host, [], live());
  expect(facts).toMatchObject({ installedVersion: version, unit: { exists: true } });
  expect(await inside(machine, 'stat -c %U /var/lib/istio/envoy; stat -c %a /usr/local/bin/envoy')).toBe(
    'istio-proxy\n2755\n',
  );
  expect((await apply(packageChange())).changed).toEqual([]);

  // Edited by hand since: rpm would keep it under another name.
  await inside(machine, 'echo EDITED=yes >>/var/lib/istio/envoy/sidecar.env');
  await apply({ kind: 'Restore' });
  expect((await port.inspect(host, [], live())).installedVersion).toBeUndefined();
  expect(difference(asFound, await snapshot(machine)).filter((line) => !line.includes('/.rpmdb/'))).toEqual([]);
}, 120_000);
