/** Onboarding that is interrupted: a killed worker, a cancelled operation. It completes, or nothing of it is left. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { eventually, Unrecoverable } from '../../demo/eventually.ts';
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
  onboardRequest(platform.env, machine, machine.name);

/** Resolves while the step runs; one that was over before it was seen fails the test. */
async function reaches(id: string, step: string): Promise<void> {
  await eventually(
    `${id} is in step ${step}`,
    async () => {
      const operation: Operation = await platform.api.operation(id);
      const phase = operation.steps.find(({ name }) => name === step)?.phase;
      if (phase === 'Succeeded' || phase === 'Failed') throw new Unrecoverable(`${step} of ${id} was over too soon`);
      return phase === 'Running';
    },
    60_000,
    20,
  );
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
    .filter((name) => name.includes(machine))
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
      const installs = await onMachine(machine, "grep -c ' install istio-sidecar' /var/log/dpkg.log");
      expect(installs.trim()).toBe('1');
      const journal = (await onMachine(machine, 'cut -f 2- /var/lib/meshlift/journal')).trim().split('\n');
      expect(journal.length).toBeGreaterThan(10);
      expect(journal.filter((entry, index) => journal.indexOf(entry) !== index)).toEqual([]);
      await platform.api.finished((await platform.api.offboard('shop', machine.name)).id);
    },
    240_000,
  );
});

describe('kill -9 of the worker while a machine leaves', () => {
  test.each(['stopProxy', 'restoreMachine'])(
    'in %s: it leaves as found all the same',
    async (step) => {
      const machine = await platform.machine(`left-${step.toLowerCase()}`, 'shop');
      const asFound = await snapshot(machine);
      await platform.api.finished((await platform.api.onboard(requestFor(machine))).id);
      const { id } = await platform.api.offboard('shop', machine.name);
      await reaches(id, step);
      await platform.replaceWorker();
      expect(await platform.api.finished(id)).toMatchObject({ phase: 'Succeeded' });
      expect(difference(asFound, await snapshot(machine))).toEqual([]);
      expect(await objectsOf(machine.name)).toBe('');
    },
    240_000,
  );
});

describe('a cancelled onboarding', () => {
  test.each(['installPackage', 'startProxy'])(
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

describe('one request, sent again', () => {
  test('with the same key is the same operation; with the key of another body it is refused', async () => {
    const machine = await platform.machine('again-1', 'shop');
    const request = requestFor(machine);
    const body = { ...request, host: { ...request.host, hostKey: { trustOnFirstUse: true } } };
    const key = { 'idempotency-key': machine.name };
    const first = await platform.api.call<Operation>('POST', '/v1/machines', body, key);
    const again = await platform.api.call<Operation>('POST', '/v1/machines', body, key);
    expect([first.status, again.status, again.body.id]).toEqual([202, 202, first.body.id]);
    const other = await platform.api.call('POST', '/v1/machines', { ...body, workloadGroup: 'another' }, key);
    expect(other.status).toBe(422);
    expect(await platform.api.finished(first.body.id)).toMatchObject({ phase: 'Succeeded' });
    // Trusted on first use, pinned from then on.
    const { host } = await platform.api.machine('shop', machine.name);
    expect(host.hostKey).toEqual({ fingerprint: expect.stringMatching(/^SHA256:/) });
    await platform.api.finished((await platform.api.offboard('shop', machine.name)).id);
    const late = await platform.api.call<Operation>('POST', '/v1/machines', body, key);
    expect([late.status, late.body.id]).toEqual([202, first.body.id]);
  }, 240_000);
});
