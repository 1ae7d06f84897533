/** Temporal is away for 20 s while a machine joins: callers are told, and the work goes on where it was. */
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Problem } from '../../api/schemas/common.ts';
import { onboardRequest, sandboxEnv } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { ask, endOf, objectsOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { onMachine } from '../support/sandbox.ts';
import { type TcpDoor, tcpDoor } from '../support/tcp-door.ts';

const OUTAGE_MS = 20_000;
let platform: Platform;
let temporal: TcpDoor;

beforeAll(async () => {
  temporal = await tcpDoor((await sandboxEnv()).temporalAddress);
  const through = { TEMPORAL_ADDRESS: temporal.address };
  platform = await startPlatform({ worker: through, apiEnv: through });
}, 120_000);

afterAll(async () => {
  await platform.stop();
  await temporal.down();
}, 60_000);

test('Temporal is down for 20 s: callers get 503, the onboarding completes, each effect once', async () => {
  const machine = await platform.machine('no-temporal', 'shop');
  const asFound = await snapshot(machine);
  const { id } = await ask(() => platform.api.onboard(onboardRequest(platform.env, machine, machine.name)));
  await reaches(platform.api, id, 'installPackage');
  await temporal.down();
  const startedAt = performance.now();
  const refused = await platform.api.call<Problem>('GET', `/v1/operations/${id}`);
  expect(performance.now() - startedAt).toBeLessThan(OUTAGE_MS);
  expect(refused).toMatchObject({ status: 503, body: { type: 'urn:meshlift:problem:temporal-unavailable' } });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  await delay(OUTAGE_MS);
  await temporal.up();

  expect(await endOf(platform.api, id)).toMatchObject({ phase: 'Succeeded' });
  const effects = await onMachine(
    machine,
    "grep -c ' installed istio-sidecar' /var/log/dpkg.log; cut -f 2- /var/lib/meshlift/journal | sort | uniq -d",
  );
  expect(effects.trim()).toBe('1');
  const left = await ask(() => platform.api.offboard('shop', machine.name));
  expect(await endOf(platform.api, left.id)).toMatchObject({ phase: 'Succeeded' });
  expect(difference(asFound, await snapshot(machine))).toEqual([]);
  expect(await objectsOf('shop', machine.name)).toEqual([]);
}, 240_000);
