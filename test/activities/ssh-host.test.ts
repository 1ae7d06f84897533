/** The machine's side on a real machine: its sshd, sudo, systemd, package manager, firewall and, for the proxy, a real istiod. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';

import { fingerprintOf } from '../../activities/adapters/host-key.ts';
import { sshHostPort } from '../../activities/adapters/ssh-host.ts';
import type { HostApply, HostApplyResult, HostChange, HostPort, Probes } from '../../activities/ports/host-port.ts';
import { captureScriptPath, renderCaptureScript } from '../../activities/render/capture-script.ts';
import { dropInPath, renderDropIn } from '../../activities/render/systemd-unit.ts';
import type { Host } from '../../api/schemas/machine.ts';
import { eventually } from '../../demo/eventually.ts';
import {
  addMachine,
  onboardRequest,
  type SandboxEnv,
  sandboxEnv,
  type SandboxMachine,
} from '../../demo/sandbox-client.ts';
import { newKeyPair } from '../../sandbox/machines/ssh-keys.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command, onMachine } from '../support/sandbox.ts';

jest.setTimeout(120_000);

const strangerKey = newKeyPair('stranger').private;
const istio = 'istio-proxy:istio-proxy';

let env: SandboxEnv;
let machine: SandboxMachine;
let host: Host;
let port: ReturnType<typeof asNamed>;
let asFound: string[];
let fence = 0;

/** The port for hosts by name and address, looked up anew at each call, as the activities do. */
const asNamed = (located: HostPort) => ({
  inspect: async (at: Host, paths: readonly string[], signal: AbortSignal, probes?: Probes) =>
    await located.inspect(await located.locate(at), paths, signal, probes),
  apply: async (at: Host, changes: HostApply, signal: AbortSignal) =>
    await located.apply(await located.locate(at), changes, signal),
  readHostKey: async (at: Host, signal: AbortSignal) => await located.readHostKey(await located.locate(at), signal),
});

const live = (): AbortSignal => new AbortController().signal;
const apply = (step: string, changes: readonly HostChange[], signal = live()): Promise<HostApplyResult> =>
  port.apply(host, { operation: `op-${fence}`, fence, step, changes }, signal);
const write = (path: string, content: string, more: { mode?: string; owner?: string } = {}): HostChange => ({
  ...{ kind: 'WriteFile', path, mode: '0644', owner: 'root:root', content },
  ...more,
});
const typeOf = async (call: Promise<unknown>): Promise<unknown> =>
  await call.then(
    () => 'no failure',
    (error: unknown) => (error as { type?: unknown }).type,
  );

function packageChange(): HostChange {
  const name = readdirSync(env.packages).find((file) => file.endsWith('.deb')) ?? '';
  const localPath = join(env.packages, name);
  const sha256 = createHash('sha256').update(readFileSync(localPath)).digest('hex');
  return { kind: 'InstallPackage', name: 'istio-sidecar', version: '1.30.0', sha256, localPath };
}

beforeAll(async () => {
  env = await sandboxEnv();
  machine = await addMachine('adapter-1', 'shop');
  host = onboardRequest(env, machine, 'orders').host;
  const privateKey = readFileSync(env.sshKey, 'utf8');
  port = asNamed(
    sshHostPort((name) =>
      Promise.resolve({ privateKey: name === 'stranger' ? strangerKey : name === 'broken' ? 'broken' : privateKey }),
    ),
  );
  fence = (await port.inspect(host, [], live())).journal.fence + 1;
  asFound = await snapshot(machine);
});

afterEach(async () => {
  await apply('restore', [{ kind: 'Restore' }]);
  fence += 1;
});

describe('the connection', () => {
  test('inspects in one exec and writes nothing', async () => {
    const facts = await port.inspect(host, ['/etc/hostname', '/nowhere'], live());
    expect(facts).toMatchObject({
      hostname: 'adapter-1',
      packageFormat: 'deb',
      hasSystemd: true,
      missingTools: [],
      unit: { exists: false },
      isCaptured: false,
      sshdPorts: [22],
    });
    expect(facts.addresses).toContain(machine.address);
    expect(facts.files.map(({ path, mode }) => `${mode} ${path}`)).toEqual(['0644 /etc/hostname']);
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });

  test('reads who called, and nothing else, where that alone is asked for', async () => {
    const { addresses, sshdPorts, listening } = await port.inspect(host, [], live());
    const facts = await port.inspect(host, ['/etc/hostname'], live(), { callers: true });
    expect(facts).toMatchObject({ addresses, sshdPorts, listening, hostname: '', missingTools: [], files: [] });
  });

  test('takes the key it read as the pinned one, and no other', async () => {
    const shown = await port.readHostKey({ ...host, hostKey: { trustOnFirstUse: true } }, live());
    const pinned: Host = { ...host, hostKey: { fingerprint: shown } };
    expect((await port.inspect(pinned, [], live())).hostKeyFingerprint).toBe(shown);
    const logins =
      'journalctl --sync; journalctl -q -t sshd --no-pager | grep -cE "Accepted|Failed|Invalid|Postponed" || true';
    const before = Number(await onMachine(machine, logins));
    const wrong: Host = { ...host, hostKey: { fingerprint: fingerprintOf(Buffer.from('another key')) } };
    expect(await typeOf(port.inspect(wrong, [], live()))).toBe('HostKeyMismatch');
    const untrusted: Host = { ...host, hostKey: { trustOnFirstUse: true } };
    expect(await typeOf(port.apply(untrusted, { operation: 'op', fence, step: 's', changes: [] }, live()))).toBe(
      'HostKeyMismatch',
    );
    // One login of this question itself: the refused connections came to no authentication.
    expect(Number(await onMachine(machine, logins)) - before).toBe(1);
  });

  test('goes over a jump host, whose key is verified as well', async () => {
    const jump = { ...host };
    expect((await port.inspect({ ...host, jump }, [], live())).hostname).toBe('adapter-1');
    const wrong = { ...jump, hostKey: { fingerprint: fingerprintOf(Buffer.from('another key')) } };
    expect(await typeOf(port.inspect({ ...host, jump: wrong }, [], live()))).toBe('HostKeyMismatch');
  });

  const refusals: readonly (readonly [string, Partial<Host>, string])[] = [
    ['a key that sshd does not know', { credentialsName: 'stranger' }, 'HostAuthRejected'],
    ['a Secret without a private key', { credentialsName: 'broken' }, 'CredentialMissing'],
    ['a closed port', { port: 2 }, 'HostUnreachable'],
    ['a name that does not resolve', { address: 'nowhere.invalid' }, 'HostUnreachable'],
  ];
  test.each(refusals)('tells %s apart', async (_title, changes, type) => {
    expect(await typeOf(port.inspect({ ...host, ...changes }, [], live()))).toBe(type);
  });

  test('closes at once when its activity is cancelled', async () => {
    const cancelled = new AbortController();
    const call = port.inspect(host, [], cancelled.signal);
    setTimeout(() => {
      cancelled.abort(new Error('cancelled'));
    }, 20);
    await expect(call).rejects.toThrow('cancelled');
  });
});

describe('changes', () => {
  test('are written once; a retry gets the recorded result, a repetition changes nothing', async () => {
    const changes = [
      write('/etc/meshlift-test/a', 'one\n'),
      { kind: 'WriteHostsBlock', lines: ['10.0.0.1 x'] } as const,
    ];
    const first = await apply('files', changes);
    expect(first).toEqual({
      changed: ['WriteFile /etc/meshlift-test/a', 'WriteHostsBlock /etc/hosts'],
      recorded: false,
    });
    expect(await apply('files', changes)).toEqual({ ...first, recorded: true });
    expect(await apply('files-again', changes)).toEqual({ changed: [], recorded: false });
    expect((await port.inspect(host, [], live())).hostsBlock).toEqual(['10.0.0.1 x']);
    expect(await onMachine(machine, 'tail -n 3 /etc/hosts')).toBe('# BEGIN meshlift\n10.0.0.1 x\n# END meshlift\n');
    await apply('restore', [{ kind: 'Restore' }]);
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });

  test('of an operation that is over are refused, before and after a restore', async () => {
    const changes = [write('/etc/meshlift-test', 'x')];
    await apply('files', changes);
    const late = { operation: 'op-late', fence: fence - 1, step: 'files', changes };
    expect(await typeOf(port.apply(host, late, live()))).toBe('FenceTooLow');
    await apply('restore', [{ kind: 'Restore' }]);
    expect(await typeOf(apply('files', changes))).toBe('FenceTooLow');
    expect(await apply('restore', [{ kind: 'Restore' }])).toEqual({ changed: [], recorded: false });
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });

  test('wait for the exec of a worker that is gone, and take over its result', async () => {
    // The log outlives a restore.
    const countInstalls = async (): Promise<number> =>
      Number(await onMachine(machine, 'cat /var/log/dpkg.log | grep -c " install istio-sidecar" || true'));
    const installsBefore = await countInstalls();
    const gone = new AbortController();
    const call = typeOf(apply('installPackage-1.30.0', [packageChange()], gone.signal));
    await eventually(
      'dpkg is at work',
      async () =>
        (await onMachine(machine, 'pgrep -x dpkg || true; cat /var/lib/meshlift/steps 2>/dev/null || true')) !== '',
    );
    gone.abort(new Error('killed'));
    await call;
    expect(await apply('installPackage-1.30.0', [packageChange()])).toMatchObject({
      changed: ['InstallPackage istio-sidecar 1.30.0'],
      recorded: true,
    });
    expect((await countInstalls()) - installsBefore).toBe(1);
  });

  test('undo.sh puts everything back without Meshlift', async () => {
    await apply('installPackage-1.30.0', [packageChange()]);
    await apply('files', [write('/etc/certs/root-cert.pem', 'x', { owner: istio }), write(dropInPath, renderDropIn())]);
    await onMachine(machine, 'sh /var/lib/meshlift/undo.sh');
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });
});

describe('the proxy', () => {
  let namespace: TestNamespace;
  let files: string;
  const bootstrap = (name: string): string => readFileSync(join(files, name), 'utf8');
  const start = (deadManSeconds: number): HostChange => ({ kind: 'StartProxy', deadManSeconds, readySeconds: 60 });
  const rules = async (): Promise<string> =>
    await onMachine(
      machine,
      'for t in legacy nft; do iptables-$t-save; done 2>/dev/null | grep -e ISTIO -e meshlift || true',
    );

  /** What onboarding writes before the start; `istiod` is an address that answers, or one that does not. */
  async function prepare(istiod: string): Promise<void> {
    const env = `${bootstrap('cluster.env')}ISTIO_CUSTOM_IP_TABLES='true'\n`;
    await apply('installPackage-1.30.0', [packageChange()]);
    await apply('files', [
      write('/var/lib/istio/envoy/cluster.env', env),
      write('/etc/istio/config/mesh', bootstrap('mesh.yaml'), { owner: istio }),
      write('/etc/certs/root-cert.pem', bootstrap('root-cert.pem'), { owner: istio }),
      write('/var/run/secrets/tokens/istio-token', bootstrap('istio-token'), { mode: '0600', owner: istio }),
      write(captureScriptPath, renderCaptureScript(), { mode: '0755' }),
      write(dropInPath, renderDropIn()),
      { kind: 'WriteHostsBlock', lines: [`${istiod} istiod-1-30-0.istio-system.svc`] },
    ]);
  }

  beforeAll(async () => {
    namespace = await testNamespace('adapter');
    files = mkdtempSync(join(tmpdir(), 'meshlift-adapter-'));
    const group = ['--name', 'orders', '--namespace', namespace.name];
    const created = await command('istioctl', 'x', 'workload', 'group', 'create', ...group, '--labels', 'app=orders');
    writeFileSync(join(files, 'group.yaml'), created);
    await command('kubectl', 'apply', '-f', join(files, 'group.yaml'));
    const entry = [
      '--autoregister',
      '--internalIP',
      machine.address,
      '--revision',
      '1-30-0',
      '--clusterID',
      'Kubernetes',
    ];
    await command('istioctl', 'x', 'workload', 'entry', 'configure', ...group, ...entry, '-o', files);
  });

  afterAll(async () => {
    rmSync(files, { recursive: true });
    await namespace.remove();
  });

  const istiodAddress = (): string => bootstrap('hosts').split(' ')[0] ?? '';

  test('starts captured, is confirmed over a new connection, and leaves the machine as found', async () => {
    await prepare(istiodAddress());
    const started = await apply('startProxy', [start(60)]);
    expect(started.changed).toEqual(['StartProxy istio.service']);
    const root = '/etc/certs/root-cert.pem';
    let facts = await port.inspect(host, [root], live());
    const [certificate] = facts.files.flatMap((file) => file.certificates ?? []);
    expect(bootstrap('root-cert.pem').replaceAll('\n', '')).toContain(certificate);
    expect(facts).toMatchObject({
      isCaptured: true,
      proxy: {
        ready: true,
        runningVersion: '1.30.0',
        spiffeId: `spiffe://cluster.local/ns/${namespace.name}/sa/default`,
      },
      unit: { activeState: 'active', enabled: false, invocationId: started.invocationId },
      journal: { deadManArmed: true },
    });
    await apply('confirmCapture', [{ kind: 'ConfirmCapture' }]);
    facts = await port.inspect(host, [], live());
    expect(facts).toMatchObject({ unit: { enabled: true }, journal: { deadManArmed: false } });
    // Started already: nothing to do, and no new run of the unit.
    const again = await apply('startProxy-2', [start(60)]);
    expect(again).toEqual({ changed: [], recorded: false, invocationId: started.invocationId });
    await apply('stopProxy', [{ kind: 'StopProxy' }]);
    expect(await rules()).not.toContain('ISTIO');
    await apply('restore', [{ kind: 'Restore' }]);
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });

  test('goes back to what stood before when nobody confirms in time', async () => {
    await prepare(istiodAddress());
    await apply('startProxy', [start(2)]);
    await eventually('the dead-man timer ran out', async () => {
      const { isCaptured, unit } = await port.inspect(host, [], live());
      return !isCaptured && unit.activeState === 'inactive' && !unit.enabled;
    });
    expect(await typeOf(apply('confirmCapture', [{ kind: 'ConfirmCapture' }]))).toBe('HostCommandFailed');
    expect(await apply('startProxy', [start(60)])).toMatchObject({ recorded: false });
    await apply('confirmCapture', [{ kind: 'ConfirmCapture' }]);
  });

  test('is put back at once when something that answered before does not any more', async () => {
    await prepare(istiodAddress());
    await apply('startProxy', [start(60)]);
    await onMachine(machine, 'echo "127.0.0.1 1" >>/run/meshlift/answering');
    expect(await typeOf(apply('confirmCapture', [{ kind: 'ConfirmCapture' }]))).toBe('CaptureBrokeTraffic');
    expect(await port.inspect(host, [], live())).toMatchObject({
      isCaptured: false,
      unit: { activeState: 'inactive', enabled: false },
      journal: { deadManArmed: false },
    });
  });

  test('uses no identity of an earlier life of a machine that had the package, and gives it back', async () => {
    const deb = '/var/lib/meshlift/packages/*.deb';
    const certs = '/etc/certs';
    await apply('installPackage-1.30.0', [packageChange()]);
    await onMachine(machine, `cp ${deb} ~root/earlier.deb`);
    await apply('restore', [{ kind: 'Restore' }]);
    fence += 1;
    try {
      await onMachine(machine, `dpkg -i ~root/earlier.deb && systemctl enable istio 2>&1`);
      await onMachine(machine, `for f in key cert-chain; do echo earlier >${certs}/$f.pem; done`);
      await onMachine(machine, `chown -R istio-proxy:istio-proxy ${certs}`);
      const before = await snapshot(machine);
      await prepare(istiodAddress());
      await apply('startProxy', [start(60)]);
      await apply('confirmCapture', [{ kind: 'ConfirmCapture' }]);
      const { proxy, registeredAddress } = await port.inspect(host, [], live());
      expect(proxy.spiffeId).toBe(`spiffe://cluster.local/ns/${namespace.name}/sa/default`);
      expect(registeredAddress).toBe(machine.address);
      await apply('stopProxy', [{ kind: 'StopProxy' }]);
      await apply('restore', [{ kind: 'Restore' }]);
      expect(difference(before, await snapshot(machine))).toEqual([]);
    } finally {
      const paths = `~root/earlier.deb ${certs} /etc/istio /var/lib/istio /var/log/istio`;
      await onMachine(
        machine,
        `systemctl disable istio; dpkg --purge istio-sidecar; rm -rf ${paths}; userdel istio-proxy; groupdel istio-proxy; true`,
      );
    }
  });

  test('is put back at once when it does not become ready', async () => {
    await prepare('10.245.0.254');
    const change = { ...start(60), readySeconds: 4 } as HostChange;
    expect(await typeOf(apply('startProxy', [change]))).toBe('ProxyNotReady');
    const facts = await port.inspect(host, [], live());
    expect(facts).toMatchObject({ isCaptured: false, unit: { enabled: false }, journal: { deadManArmed: false } });
    expect(facts.unit.activeState).not.toBe('active');
    await apply('restore', [{ kind: 'Restore' }]);
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
  });
});
