/** Restarts behind drains, one after the other, under 30,000 requests: the long form of test/alone/drain.test.ts. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { eventually } from '../../demo/eventually.ts';
import type { SandboxMachine } from '../../demo/sandbox-client.ts';
import { type DrainLab, drainLab, failedOf, meshLoad, reasonsOf, watchEndpoints } from '../support/drain-lab.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { retriesOfPod } from '../support/retries.ts';
import { onMachine } from '../support/sandbox.ts';

const REQUESTS = 30_000;
let platform: Platform;
let lab: DrainLab;
let machines: readonly SandboxMachine[];

beforeAll(async () => {
  platform = await startPlatform();
  lab = await drainLab(platform, 'restarts', ['orders']);
  machines = await Promise.all(['a', 'b', 'c'].map((name) => lab.machine(`restarts-${name}`)));
  await Promise.all(machines.map((machine) => lab.onboard(machine, 'orders', { floor: 2 })));
}, 300_000);

afterAll(async () => {
  await platform.stop();
  await lab.remove();
}, 120_000);

test(`fail none of ${REQUESTS}, and keep a floor of two, while plain restarts fail some`, async () => {
  const [first] = machines as [SandboxMachine];
  const watch = watchEndpoints(platform.env.kubeconfig, lab, first);
  const load = await meshLoad(lab.namespace.name, 'orders');
  let restarts = 0;
  while ((await load.sent()) < REQUESTS) {
    const ended = await Promise.all(
      machines.map((machine) => lab.run(machine, 'restart-proxy', { deadlineSeconds: 300 })),
    );
    expect(ended.map(({ phase, message }) => ({ phase, message }))).toEqual(
      ended.map(({ message }) => ({ phase: 'Succeeded', message })),
    );
    restarts += ended.length;
  }
  const reports = await load.stop();
  const { least } = await watch.stop();
  expect({ failed: failedOf(reports), reasons: reasonsOf(reports) }).toEqual({ failed: 0, reasons: [{}, {}] });
  expect(await retriesOfPod('shop', 'frontend', `orders.${lab.namespace.name}.svc.cluster.local`)).toBe(0);
  expect(restarts).toBeGreaterThanOrEqual(machines.length);
  expect(Math.min(...least.values())).toBeGreaterThanOrEqual(2);

  const control = await meshLoad(lab.namespace.name, 'orders');
  for (const machine of machines) {
    const sent = await control.sent();
    await onMachine(machine, 'systemctl restart istio');
    await eventually('the load goes on', async () => (await control.sent()) > sent + 400);
  }
  expect(failedOf(await control.stop())).toBeGreaterThan(0);
}, 1_200_000);
