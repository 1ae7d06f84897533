/** A machine on a network of its own: it reaches istiod and services through the east-west gateway alone. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { onMachine } from '../support/sandbox.ts';

let platform: Platform;
let machine: SandboxMachine;

beforeAll(async () => {
  platform = await startPlatform();
  machine = await platform.machine('remote-1', 'bank', 'gateway');
}, 120_000);

afterAll(async () => {
  await platform.stop();
}, 60_000);

test('a machine joins through the gateway, reaches a pod service through it, and leaves', async () => {
  const asFound = await snapshot(machine);
  const teller = await podAddress('bank', 'app=teller');
  const direct = await onMachine(machine, `curl -s -m 3 -o /dev/null -w '%{http_code}' http://${teller}:8080/ || true`);
  expect(direct).toBe('000');

  const { id } = await platform.api.onboard(onboardRequest(platform.env, machine, machine.name, 'gateway'));
  expect(await platform.api.finished(id)).toMatchObject({ phase: 'Succeeded' });
  await eventually('the machine reaches the pod service by name', async () => {
    const answer = await onMachine(machine, `curl -s -m 5 http://teller.bank.svc.cluster.local/`);
    return answer.includes(`URI=spiffe://cluster.local/ns/bank/sa/${machine.name}`);
  });

  const left = await platform.api.finished((await platform.api.offboard('bank', machine.name)).id);
  expect(left.phase).toBe('Succeeded');
  expect(difference(asFound, await snapshot(machine))).toEqual([]);
}, 240_000);
