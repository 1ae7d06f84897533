/** Taking machines out of service and back: no request is lost, no Service falls below its floor, and what goes wrong is told. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { startLoad } from '../../demo/load.ts';
import { podAddress, powerOff, powerOn, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { type ClusterProxy, clusterProxy } from '../support/cluster-proxy.ts';
import { type DrainLab, drainLab, failedOf, meshLoad, reasonsOf, watchEndpoints } from '../support/drain-lab.ts';
import { inside } from '../support/inside-machine.ts';
import { endOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { retriesOfPod } from '../support/retries.ts';
import { kubectl, onMachine } from '../support/sandbox.ts';

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-drain-'));
let platform: Platform;
let cluster: ClusterProxy;
/** Three machines behind two Services, and one that is a Service's only endpoint. */
let lab: DrainLab;
let three: readonly SandboxMachine[];
let sole: SandboxMachine;
/** Machines that are cut off and powered off, where nobody else waits for them. */
let rough: DrainLab;
let rebooted: SandboxMachine;
let client: SandboxMachine;
let lost: SandboxMachine;
/** Begins with the file, as it ends only when Meshlift gives the machine up. */
let losing: Promise<Operation>;

beforeAll(async () => {
  const env = await sandboxEnv();
  cluster = await clusterProxy(env.kubeconfig);
  platform = await startPlatform({ workerKubeconfig: (account) => cluster.through(account, join(scratch, 'worker')) });
  [lab, rough] = await Promise.all([
    drainLab(platform, 'drain', ['orders', 'sole']),
    drainLab(platform, 'rough', ['orders', 'client']),
  ]);
  const [a, b, c, d, e, f, g] = await Promise.all([
    ...['a', 'b', 'c', 'sole'].map((name) => lab.machine(`drain-${name}`)),
    ...['rebooted', 'client', 'lost'].map((name) => rough.machine(`drain-${name}`)),
  ]);
  if (!a || !b || !c || !d || !e || !f || !g) throw new Error('unreachable');
  [three, sole, rebooted, client, lost] = [[a, b, c], d, e, f, g];
  const both = { workload: { labels: { app: 'orders', checkout: 'true' } } };
  await Promise.all([
    ...three.map((machine) => lab.onboard(machine, 'orders', withLabels(machine, both.workload.labels))),
    lab.onboard(sole, 'sole'),
    rough.onboard(rebooted, 'orders', { floor: 0 }),
    rough.onboard(client, 'client'),
    rough.onboard(lost, 'orders', { floor: 0 }),
  ]);
  losing = lose();
  losing.catch(() => undefined);
}, 400_000);

afterAll(async () => {
  await platform.stop();
  await cluster.down();
  await Promise.all([lab.remove(), rough.remove()]);
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

/** A restart whose proxy can not start, and then the machine has no power any more. */
async function lose(): Promise<Operation> {
  await inside(lost, 'mv /usr/local/bin/envoy /usr/local/bin/envoy.away');
  const { id } = await rough.ask(lost, 'restart-proxy');
  await reaches(platform.api, id, 'restartProxy');
  await powerOff(lost);
  return await endOf(platform.api, id, 600_000);
}

async function answers(machine: SandboxMachine): Promise<boolean> {
  try {
    await onMachine(machine, 'true');
    return true;
  } catch {
    return false;
  }
}

/** The group's ports and probe as the sandbox's, its labels as asked. */
function withLabels(machine: SandboxMachine, labels: Record<string, string>): object {
  const ports = { http: 8080, grpc: 9090, tcp: 7070 };
  const probe = { httpGet: { port: 8080, path: '/healthz' }, periodSeconds: 2 };
  return { name: machine.name, workload: { labels, ports, serviceAccount: 'orders', probe } };
}

interface Entry {
  readonly metadata: { readonly labels?: Record<string, string> };
  readonly spec: { readonly address: string };
}

async function drainingOf({ namespace: { name } }: DrainLab, { address }: SandboxMachine): Promise<string | undefined> {
  const { items } = await kubectl<{ items: Entry[] }>('-n', name, 'get', 'workloadentry');
  return items.find(({ spec }) => spec.address === address)?.metadata.labels?.['istio.io/draining'];
}

const isHeld = async (machine: SandboxMachine): Promise<boolean> =>
  (await onMachine(machine, 'test -e /var/lib/meshlift/hold && echo held || true')).trim() === 'held';

const phaseOf = async ({ namespace }: DrainLab, { name }: SandboxMachine) =>
  (await platform.api.machine(namespace.name, name)).phase;

describe('under 200 requests a second', () => {
  test('a restart behind a drain fails none of 3,000; a plain one fails some', async () => {
    const [first, second] = three as [SandboxMachine, SandboxMachine];
    const load = await meshLoad(lab.namespace.name, 'orders');
    const restarted = await lab.run(first, 'restart-proxy');
    await eventually('3,000 requests were sent', async () => (await load.sent()) > 3_000, 120_000, 500);
    const drained = await load.stop();
    expect(restarted).toMatchObject({ phase: 'Succeeded', drain: { connectionsCut: 0 } });
    expect({ failed: failedOf(drained), reasons: reasonsOf(drained) }).toEqual({ failed: 0, reasons: [{}, {}] });
    expect(await retriesOfPod('shop', 'frontend', `orders.${lab.namespace.name}.svc.cluster.local`)).toBe(0);
    expect(await phaseOf(lab, first)).toBe('InMesh');
    expect([await drainingOf(lab, first), await isHeld(first)]).toEqual([undefined, false]);

    const control = await meshLoad(lab.namespace.name, 'orders');
    await eventually('the load runs', async () => (await control.sent()) > 200);
    await onMachine(second, 'systemctl restart istio');
    const before = await control.sent();
    await eventually('the load outlives the restart', async () => (await control.sent()) > before + 400);
    expect(failedOf(await control.stop())).toBeGreaterThan(0);
  }, 300_000);
});

describe('two Services, three machines', () => {
  test('ten drains at once never take the last endpoint of either', async () => {
    const [machine] = three as [SandboxMachine];
    const watch = watchEndpoints(platform.env.kubeconfig, lab, machine);
    // Each machine takes its own one after the other; drains of the three meet all the time.
    const asked = await Promise.all(
      three.map(async (one, index) => {
        const ids: string[] = [];
        for (let turn = 0; turn < (index === 0 ? 4 : 3); turn += 1) {
          ids.push((await lab.ask(one, 'drain', { deadlineSeconds: 240 })).id, (await lab.ask(one, 'undrain')).id);
        }
        return ids;
      }),
    );
    const ends = await Promise.all(asked.flat().map(async (id) => await endOf(platform.api, id, 400_000)));
    const { least, looks } = await watch.stop();
    expect(ends.filter(({ verb }) => verb === 'drain')).toHaveLength(10);
    expect(ends.map(({ phase, message }) => ({ phase, message }))).toEqual(
      ends.map(({ message }) => ({ phase: 'Succeeded', message })),
    );
    expect(looks).toBeGreaterThan(20);
    expect([...least].map(([host, count]) => ({ host, isKept: count >= 1 }))).toEqual(
      ['checkout', 'orders'].map((name) => ({ host: `${name}.${lab.namespace.name}.svc.cluster.local`, isKept: true })),
    );
    expect(await Promise.all(three.map((one) => phaseOf(lab, one)))).toEqual(['InMesh', 'InMesh', 'InMesh']);
  }, 500_000);
});

describe("a Service's only endpoint", () => {
  test('is not taken unasked, and nothing is touched', async () => {
    const { phase, message } = await lab.run(sole, 'drain');
    expect(phase).toBe('Failed');
    expect(message).toMatch(/Nothing was touched: .*only endpoint of sole.*allowDisruption/);
    expect([await drainingOf(lab, sole), await isHeld(sole)]).toEqual([undefined, false]);
  }, 60_000);

  test('with 50 kept TCP connections: a planned disruption with a predicted and a measured gap', async () => {
    const frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
    const load = await startLoad(frontend, [`tcp://sole.${lab.namespace.name}.svc.cluster.local:7070`], 50, 50);
    await eventually('50 connections are open', async () => (await load.report()).connections.open >= 50);
    const terms = { allowDisruption: true, deadlineSeconds: 5 };
    const plan = await lab.plan(sole, 'restart-proxy', terms);
    const restarted = await lab.run(sole, 'restart-proxy', terms);
    const sent = (await load.report()).sent;
    await eventually('the load goes on', async () => (await load.report()).sent > sent + 50);
    const report = await load.stop();
    expect({ phase: restarted.phase, message: restarted.message }).toMatchObject({ phase: 'Succeeded' });
    expect(restarted).toMatchObject({
      drain: {
        disrupts: [`sole.${lab.namespace.name}.svc.cluster.local`],
        gap: { measuredSeconds: expect.any(Number) },
      },
    });
    expect(restarted.drain?.connectionsCut).toBeGreaterThanOrEqual(50);
    expect(report.connections.cut).toBeGreaterThanOrEqual(50);
    const { predictedSeconds, measuredSeconds = 0 } = restarted.drain?.gap ?? {
      predictedSeconds: { least: 0, most: 0 },
    };
    // The deadline and 30 s of its own at the most; the least is proof, restart and return.
    expect(predictedSeconds).toEqual({ least: 8, most: 35 });
    expect(plan.conditions).toContainEqual(
      expect.objectContaining({ reason: 'Disruption', message: expect.stringContaining('for about 8 to 35 s') }),
    );
    expect(measuredSeconds).toBeGreaterThanOrEqual(predictedSeconds.least);
    expect(measuredSeconds).toBeLessThanOrEqual(predictedSeconds.most);
    // What is measured begins with the label, while kept connections go on, and ends when istiod gives the machine out: the client's
    // own proxy hears of that a moment later.
    expect(report.gapSeconds).toBeGreaterThan(0);
    expect(report.gapSeconds).toBeLessThanOrEqual(measuredSeconds + 1);
    expect(await phaseOf(lab, sole)).toBe('InMesh');
  }, 200_000);
});

describe('a client whose proxy is cut off from istiod', () => {
  const cut = async (isCut: boolean): Promise<void> => {
    await inside(client, `iptables ${isCut ? '-I' : '-D'} OUTPUT -p tcp --dport 15012 -j DROP`);
  };

  test('is named, and the machine goes back into service; asked to go on all the same, that is recorded', async () => {
    await cut(true);
    try {
      const refused = await rough.run(rebooted, 'drain', { deadlineSeconds: 5 });
      expect(refused.phase).toBe('RolledBack');
      expect(refused.message).toContain(`${client.name}.${rough.namespace.name}`);
      expect([await drainingOf(rough, rebooted), await isHeld(rebooted)]).toEqual([undefined, false]);
      expect(await phaseOf(rough, rebooted)).toBe('InMesh');

      const accepted = await rough.run(rebooted, 'drain', { deadlineSeconds: 5, allowUnproven: true });
      expect(accepted).toMatchObject({
        phase: 'Succeeded',
        drain: { unproven: [expect.stringContaining(client.name)] },
      });
    } finally {
      await cut(false);
    }
    expect(await rough.run(rebooted, 'undrain')).toMatchObject({ phase: 'Succeeded' });
  }, 200_000);
});

describe('a machine under restart', () => {
  test('that reboots in the middle comes back into service', async () => {
    const { id } = await rough.ask(rebooted, 'restart-proxy');
    await eventually('it is held', async () => await isHeld(rebooted), 60_000);
    // By itself, at once: a verb of the sandbox may have to wait for others.
    await inside(rebooted, 'systemctl reboot');
    await eventually('it went down', async () => !(await answers(rebooted)), 60_000);
    const { phase, message } = await endOf(platform.api, id);
    expect({ phase, message }).toMatchObject({ phase: expect.stringMatching(/Succeeded|RolledBack/) });
    expect(await phaseOf(rough, rebooted)).toBe('InMesh');
    expect(await isHeld(rebooted)).toBe(false);
    // The boot itself left the proxy down: systemd says so, once for each start that it did not make.
    const kept = await onMachine(rebooted, "journalctl -b -u istio -o cat --no-pager | grep 'skipped because'");
    expect(kept).not.toBe('');
  }, 300_000);

  test('that does not come back stays out of service and says why, also once it has power again', async () => {
    const ended = await losing;
    expect(ended.phase).toBe('Failed');
    expect(ended.conditions).toContainEqual(
      expect.objectContaining({ type: 'Drained', status: 'True', reason: 'ReturnUnproven' }),
    );
    expect(ended.next).toMatch(/undrain/);
    expect(await phaseOf(rough, lost)).toBe('Drained');

    await powerOn(lost);
    await inside(lost, 'mv /usr/local/bin/envoy.away /usr/local/bin/envoy');
    expect(await isHeld(lost)).toBe(true);
    expect((await onMachine(lost, 'systemctl is-active istio || true')).trim()).toBe('inactive');
    expect(await rough.run(lost, 'undrain')).toMatchObject({ phase: 'Succeeded' });
    expect(await phaseOf(rough, lost)).toBe('InMesh');
  }, 600_000);
});

describe('istiods that cannot be read', () => {
  test('no proof, so nothing is touched', async () => {
    const [machine] = three as [SandboxMachine];
    cluster.fail((call) => (call.includes('/portforward') ? { status: 503 } : undefined));
    const { phase, message } = await lab.run(machine, 'drain', { deadlineSeconds: 8 });
    cluster.fail(() => undefined);
    expect(phase).toBe('Failed');
    expect(message).toMatch(/Nothing was touched: .*istiod/);
    expect([await drainingOf(lab, machine), await isHeld(machine)]).toEqual([undefined, false]);
  }, 120_000);
});
