/** A machine whose SSH answers the jump host alone, and whose workload speaks more than HTTP. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { eventually } from '../../demo/eventually.ts';
import { startLoad } from '../../demo/load.ts';
import { onboardRequest, podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, onMachine } from '../support/sandbox.ts';

let platform: Platform;
let machine: SandboxMachine;

beforeAll(async () => {
  platform = await startPlatform();
  machine = await platform.machine('inner-1', 'shop', 'inner', ['http', 'grpc', 'tcp']);
  // A Service of this file's own: others drain the machines of the sandbox's Services.
  await command('kubectl', '-n', 'shop', 'create', 'service', 'clusterip', machine.name, ...ports);
}, 180_000);

afterAll(async () => {
  await command('kubectl', '-n', 'shop', 'delete', 'service', machine.name);
  await platform.stop();
}, 120_000);

/** kubectl names the ports after themselves, which leaves their protocol to detection. */
const ports = ['--tcp=80:8080', '--tcp=9090:9090', '--tcp=7070:7070'];

test('joins over the jump host, serves HTTP, gRPC and TCP through the mesh, and leaves as found', async () => {
  const asFound = await snapshot(machine);
  const { id } = await platform.api.onboard(onboardRequest(platform.env, machine, machine.name));
  expect(await platform.api.finished(id)).toMatchObject({ phase: 'Succeeded' });

  const frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  const host = `${machine.name}.shop.svc.cluster.local`;
  const targets = [`http://${host}/`, `grpc://${host}:9090`, `tcp://${host}:7070`];
  await eventually('the pod reaches the machine by name', async () => {
    const answers = await Promise.all(
      targets.map(async (url) => await fetch(`${frontend}/call?url=${encodeURIComponent(url)}`)),
    );
    return answers.every(({ ok }) => ok);
  });
  const loads = await Promise.all(targets.map(async (target) => await startLoad(frontend, [target], 20, 10)));
  await eventually('100 requests of each protocol went out', async () =>
    (await Promise.all(loads.map(async ({ report }) => await report()))).every(({ sent }) => sent >= 100),
  );
  for (const load of loads) {
    const { sent, failed, answeredBy, connections } = await load.stop();
    expect({ failed, answeredBy, cut: connections.cut }).toEqual({
      failed: 0,
      answeredBy: { [machine.name]: sent },
      cut: 0,
    });
  }
  expect(await onMachine(machine, 'curl -s http://catalog.shop.svc.cluster.local/')).toContain(
    `URI=spiffe://cluster.local/ns/shop/sa/${machine.name}`,
  );

  const left = await platform.api.finished((await platform.api.offboard('shop', machine.name)).id);
  expect(left.phase).toBe('Succeeded');
  expect(difference(asFound, await snapshot(machine))).toEqual([]);
}, 300_000);
