/** Applications that are not plain HTTP: what their probes say, and a server that speaks first on a port that nobody declares. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { endOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { kubectl, onMachine } from '../support/sandbox.ts';

/** Both ask without the source address that the redirection lets pass. */
const probes = {
  tcp: { tcpSocket: { port: 7070 }, periodSeconds: 1 },
  grpc: { grpc: { port: 9090 }, periodSeconds: 1 },
} as const;
type App = keyof typeof probes;
const apps = ['tcp', 'grpc'] as const;

interface Entry {
  readonly spec: { readonly address: string };
  readonly status?: { readonly conditions?: readonly Health[] };
}
interface Health {
  readonly type: string;
  readonly status: string;
  readonly lastProbeTime: string;
}

let platform: Platform;
let machines: Readonly<Record<App, SandboxMachine>>;

beforeAll(async () => {
  platform = await startPlatform();
  const [tcp, grpc] = [await machineOf('tcp'), await machineOf('grpc')];
  machines = { tcp, grpc };
}, 180_000);

afterAll(async () => {
  await platform.stop();
}, 60_000);

async function machineOf(app: App): Promise<SandboxMachine> {
  const machine = await platform.machine(`probed-${app}`, 'shop', 'direct', ['http', 'greeting', app]);
  const request = onboardRequest(platform.env, machine, machine.name);
  const workload = { ...request.workload, ports: { http: 8080 }, probe: probes[app] };
  const { id } = await platform.api.onboard({ ...request, workload });
  const { phase, message } = await endOf(platform.api, id);
  if (phase !== 'Succeeded') throw new Error(`${machine.name} was not onboarded: ${message ?? phase}`);
  const body = { mode: 'enforce', allowPlaintextCallers: true };
  const asked = await platform.api.call<{ id: string }>('POST', `/v1/machines/shop/${machine.name}/enforce`, body);
  const enforced = await endOf(platform.api, asked.body.id);
  if (enforced.phase !== 'Succeeded') throw new Error(`${machine.name} was not enforced: ${enforced.message ?? ''}`);
  return machine;
}

async function healthOf({ address }: SandboxMachine): Promise<Health | undefined> {
  const { items } = await kubectl<{ items: Entry[] }>('-n', 'shop', 'get', 'workloadentry');
  const entry = items.find(({ spec }) => spec.address === address);
  return entry?.status?.conditions?.find(({ type }) => type === 'Healthy');
}

/** istiod hears of a change alone, so a status that stands is looked at once the application has changed. */
const turns = async (machine: SandboxMachine, status: 'True' | 'False'): Promise<void> => {
  await eventually(`${machine.name} is Healthy=${status}`, async () => (await healthOf(machine))?.status === status);
};

test.each(apps)(
  'an enforced machine whose %s application stops is not healthy, and is again once it runs',
  async (app) => {
    const machine = machines[app];
    await expect(turns(machine, 'True')).resolves.toBeUndefined();
    await onMachine(machine, `systemctl stop app-${app}`);
    await expect(turns(machine, 'False')).resolves.toBeUndefined();
    await onMachine(machine, `systemctl start app-${app}`);
    await expect(turns(machine, 'True')).resolves.toBeUndefined();
  },
  120_000,
);

test.each(apps)(
  'of an enforced machine with a %s application only the undeclared server-first port stays out',
  async (app) => {
    const { conditions } = await platform.api.machine('shop', machines[app].name);
    expect(conditions).toContainEqual(
      expect.objectContaining({
        type: 'ServerFirstPorts',
        message: expect.stringMatching(/speaks first on 2525: not captured, and so open to everybody, until/),
      }),
    );
  },
);
