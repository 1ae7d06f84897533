/** Onboarding that is interrupted: a killed worker, a cancelled operation. It completes, or nothing of it is left. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, onMachine } from '../support/sandbox.ts';

let platform: Platform;

beforeAll(async () => {
  platform = await startPlatform();
}, 120_000);

afterAll(async () => {
  await platform.stop();
}, 60_000);

const requestFor = (machine: SandboxMachine): ReturnType<typeof onboardRequest> =>
  onboardRequest(platform.env, machine, 'billing');

/** Resolves once the step runs; the operation must not end before it. */
async function reaches(id: string, step: string): Promise<void> {
  await eventually(`${id} is in step ${step}`, async () => {
    const operation: Operation = await platform.api.operation(id);
    return operation.steps.some(({ name, phase }) => name === step && phase !== 'Pending');
  });
}

/** Starts of the proxy's unit, as systemd logged them. */
const unitStarts = async (machine: SandboxMachine): Promise<string> =>
  await onMachine(
    machine,
    'journalctl -u istio -o json --no-pager | grep -o \'"INVOCATION_ID":"[0-9a-f]*"\' | sort -u | wc -l',
  );

const objectsOf = async (machine: string): Promise<string> =>
  (
    await command(
      'kubectl',
      '-n',
      'shop',
      'get',
      'peerauthentications,sidecars,workloadentries,workloadgroups',
      '-o',
      'name',
    )
  )
    .split('\n')
    .filter((name) => name.includes(machine) || name.includes('billing'))
    .join('\n');

describe('kill -9 of the worker', () => {
  test.each(['installPackage', 'startProxy'])(
    'in %s: onboarding completes, each effect once',
    async (step) => {
      const machine = await platform.machine(`killed-${step.toLowerCase()}`, 'shop');
      const { id } = await platform.api.onboard(requestFor(machine));
      await reaches(id, step);
      await platform.replaceWorker();
      const operation = await platform.api.finished(id);

      expect(operation).toMatchObject({ phase: 'Succeeded' });
      expect((await unitStarts(machine)).trim()).toBe('1');
      const journal = await onMachine(machine, 'cat /var/lib/meshlift/steps');
      const done = journal.split('\n').filter((line) => line.includes(id) && line.includes('done'));
      expect(done.length).toBeGreaterThan(0);
      expect(new Set(done).size).toBe(done.length);
      await platform.api.finished((await platform.api.offboard('shop', machine.name)).id);
    },
    240_000,
  );
});

describe('a cancelled onboarding', () => {
  test.each(['writeBootstrapFiles', 'verifyConnected'])(
    'in %s leaves both sides as found',
    async (step) => {
      const machine = await platform.machine(`cancelled-${step.toLowerCase()}`, 'shop');
      const asFound = await snapshot(machine);
      const { id } = await platform.api.onboard(requestFor(machine));
      await reaches(id, step);
      const { status } = await platform.api.call('POST', `/v1/operations/${id}/cancel`);
      expect(status).toBe(202);
      const operation = await platform.api.finished(id);

      expect(operation.phase).toBe('Cancelled');
      expect(difference(asFound, await snapshot(machine))).toEqual([]);
      await eventually('the cluster has nothing of it', async () => (await objectsOf(machine.name)) === '');
      expect((await platform.api.machine('shop', machine.name)).phase).toBe('Failed');
    },
    240_000,
  );
});

describe('secrets', () => {
  test('are in no history, log or answer', async () => {
    const machine = await platform.machine('canary-1', 'shop');
    const { id } = await platform.api.onboard(requestFor(machine));
    await platform.api.finished(id);
    const token = await onMachine(machine, 'cat /var/run/secrets/tokens/istio-token');
    const key = (await onMachine(machine, 'cat /etc/certs/key.pem')).split('\n')[1] ?? '';
    const histories = await Promise.all(
      [id, `machine/shop/${machine.name}`].map(
        async (workflow) =>
          await command('temporal', 'workflow', 'show', '--workflow-id', workflow, '--output', 'json'),
      ),
    );
    const machineAnswer = await platform.api.call('GET', `/v1/machines/shop/${machine.name}`);
    const operationAnswer = await platform.api.call('GET', `/v1/operations/${id}`);
    const everything = [
      ...histories,
      platform.worker().log(),
      JSON.stringify([machineAnswer.body, operationAnswer.body]),
    ].join('\n');
    // Payloads in a history are base64 of JSON: look inside them too.
    const decoded = [...everything.matchAll(/"data":\s*"([A-Za-z0-9+/=]+)"/g)].map(([, data]) =>
      Buffer.from(data ?? '', 'base64').toString(),
    );
    for (const secret of [token.trim().split('.')[2] ?? '', key]) {
      expect(secret.length).toBeGreaterThan(40);
      expect([everything, ...decoded].filter((text) => text.includes(secret))).toEqual([]);
    }
    await platform.api.finished((await platform.api.offboard('shop', machine.name)).id);
  }, 180_000);
});
