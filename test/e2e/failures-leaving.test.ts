/** Machines that changed, went away or came back as others while they were members; and requests for one machine at once. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import {
  onboardRequest,
  powerOff,
  powerOn,
  sandbox,
  sandboxEnv,
  type SandboxMachine,
} from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { runAtOnce } from '../support/at-once.ts';
import { inside } from '../support/inside-machine.ts';
import { ask, blockingOf, endOf, objectsOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command } from '../support/sandbox.ts';

let platform: Platform;

const requestFor = (machine: SandboxMachine): OnboardMachine => onboardRequest(platform.env, machine, machine.name);
const onboard = async (body: OnboardMachine): Promise<Operation> =>
  await endOf(platform.api, (await ask(() => platform.api.onboard(body))).id);

async function offboard({ name }: SandboxMachine, query = ''): Promise<Operation> {
  const { body } = await ask(async () => {
    const answer = await platform.api.call<Operation>('DELETE', `/v1/machines/shop/${name}${query}`);
    if (answer.status !== 202) throw new Error(`DELETE of ${name} answered ${answer.status}`);
    return answer;
  });
  return await endOf(platform.api, body.id);
}

const phaseOf = async ({ name }: SandboxMachine): Promise<string> =>
  (await ask(() => platform.api.machine('shop', name))).phase;
const findingsOf = (operation: Operation): string[] => blockingOf(operation).map(({ type }) => type);

interface Ended {
  readonly operations: readonly Operation[];
  readonly phases: readonly string[];
  readonly left: readonly string[];
  readonly objects: readonly string[];
}

const rows: Readonly<Record<string, () => Promise<Ended>>> = {
  gone: async () => {
    const machine = await platform.machine('gone', 'shop');
    const asFound = await snapshot(machine);
    const joined = await onboard(requestFor(machine));
    await powerOff(machine);
    const refused = await offboard(machine);
    const stays = await phaseOf(machine);
    const forced = await offboard(machine, '?force=true');
    const phases = [stays, await phaseOf(machine)];
    const objects = await objectsOf('shop', machine.name);
    await powerOn(machine);
    await eventually('the machine is back', async () => (await inside(machine, 'systemctl is-active ssh')) !== '');
    await inside(machine, 'sh /var/lib/meshlift/undo.sh');
    const left = difference(asFound, await snapshot(machine));
    return { operations: [joined, refused, forced], phases, left, objects };
  },

  changed: async () => {
    const machine = await platform.machine('changed', 'shop');
    const asFound = await snapshot(machine);
    const joined = await onboard(requestFor(machine));
    await inside(
      machine,
      `systemctl stop istio; rm /etc/certs/root-cert.pem; echo "EXTRA=1" >>/var/lib/istio/envoy/cluster.env
       echo '192.0.2.9 by-hand' >>/etc/hosts; dpkg --purge istio-sidecar >/dev/null 2>&1; userdel istio-proxy`,
    );
    const own = `meshlift-${machine.name}`;
    await command('kubectl', '-n', 'shop', 'delete', 'peerauthentication', own);
    await command('kubectl', '-n', 'shop', 'annotate', 'sidecar', own, 'by=hand');
    await command('kubectl', '-n', 'shop', 'delete', 'workloadentry', '-l', `app=${machine.name}`);
    const operations = [joined, await offboard(machine)];
    const kept = await inside(machine, 'cat /etc/hosts');
    await inside(machine, "sed -i '/by-hand/d' /etc/hosts");
    const left = [...difference(asFound, await snapshot(machine)), ...(kept.includes('by-hand') ? [] : ['by-hand'])];
    return { operations, phases: [await phaseOf(machine)], left, objects: await objectsOf('shop', machine.name) };
  },

  reimaged: async () => {
    const machine = await platform.machine('reimaged', 'shop');
    const joined = await onboard(requestFor(machine));
    const body = requestFor(machine);
    await sandbox('machine', 'reimage', machine.name);
    const asFound = await snapshot(machine);
    const repeated = await onboard(body);
    const stays = await phaseOf(machine);
    const refused = await offboard(machine);
    const untouched = difference(asFound, await snapshot(machine));
    const forced = await offboard(machine, '?force=true');
    const again = await onboard(onboardRequest(await sandboxEnv(), machine, machine.name));
    const phases = [stays, await phaseOf(machine)];
    const gone = await offboard(machine);
    const left = [...untouched, ...difference(asFound, await snapshot(machine))];
    const operations = [joined, repeated, refused, forced, again, gone];
    return { operations, phases, left, objects: await objectsOf('shop', machine.name) };
  },

  twice: async () => {
    const machine = await platform.machine('twice', 'shop');
    const asFound = await snapshot(machine);
    const body = requestFor(machine);
    const post = async (asked: unknown): ReturnType<typeof platform.api.call<Operation>> =>
      await ask(async () => {
        const answer = await platform.api.call<Operation>('POST', '/v1/machines', asked);
        if (answer.status >= 500) throw new Error(`POST answered ${answer.status}`);
        return answer;
      });
    const answers = await Promise.all([post(body), post(body), post(body)]);
    const other = await post({ ...body, workloadGroup: 'another' });
    const ids = [...new Set(answers.map((answer) => answer.body.id))];
    const joined = await endOf(platform.api, ids[0] ?? '');
    const elsewhere = await ask(() => platform.api.onboard({ ...body, namespace: 'bank' }));
    const refused = await endOf(platform.api, elsewhere.id);
    const gone = await offboard(machine);
    return {
      operations: [joined, refused, gone],
      phases: [...answers.map(({ status }) => String(status)), String(ids.length), String(other.status)],
      left: difference(asFound, await snapshot(machine)),
      objects: [...(await objectsOf('shop', machine.name)), ...(await objectsOf('bank', machine.name))],
    };
  },
};

let rowOf: (title: string) => Ended;

beforeAll(async () => {
  platform = await startPlatform();
  const run = async (title: string): Promise<Ended> => {
    const row = rows[title];
    if (row === undefined) throw new Error(`There is no row ${title}`);
    return await row();
  };
  rowOf = await runAtOnce(Object.keys(rows), run);
}, 600_000);

afterAll(async () => {
  await platform.stop();
}, 120_000);

describe('a member that never answers', () => {
  test('is not offboarded, and stays what it was', () => {
    const [joined, refused] = rowOf('gone').operations;
    expect(joined).toMatchObject({ phase: 'Succeeded' });
    expect(refused).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^Nothing was touched: /) });
    expect(refused && findingsOf(refused)).toEqual(['Reachable']);
    expect(rowOf('gone').phases[0]).toBe('InMesh');
  });

  test('leaves the cluster by force, which says that the machine was not touched, and what undoes it there', () => {
    const { operations, phases, left, objects } = rowOf('gone');
    const forced = operations[2];
    expect(forced).toMatchObject({ phase: 'Succeeded', message: expect.stringContaining('was not touched') });
    expect(forced?.next).toContain('sudo sh /var/lib/meshlift/undo.sh');
    expect(forced?.conditions.map(({ type, status }) => ({ type, status }))).toEqual([
      { type: 'MachineRestored', status: 'False' },
    ]);
    expect({ phase: phases[1], left, objects }).toEqual({ phase: 'Offboarded', left: [], objects: [] });
  });
});

test('a member that was changed by hand leaves as found but for what the hand added', () => {
  const { operations, phases, left, objects } = rowOf('changed');
  expect(operations.map(({ phase, message }) => ({ phase, message }))).toEqual(
    operations.map(({ message }) => ({ phase: 'Succeeded', message })),
  );
  expect({ phases, left, objects }).toEqual({ phases: ['Offboarded'], left: [], objects: [] });
});

test('a machine that was imaged anew under its name is another: refused untouched, then forced out and onboarded anew', () => {
  const { operations, phases, left, objects } = rowOf('reimaged');
  const [joined, repeated, refused, forced, again, gone] = operations;
  expect([joined, forced, again, gone].map((operation) => operation?.phase)).toEqual(Array(4).fill('Succeeded'));
  for (const operation of [repeated, refused]) {
    expect(operation).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^Nothing was touched: /) });
    expect(operation && findingsOf(operation)).toEqual(['HostKeyTrusted']);
  }
  expect({ phases, left, objects }).toEqual({ phases: ['InMesh', 'InMesh'], left: [], objects: [] });
});

test('requests for one machine at once are one operation; another body, or another namespace, is refused', () => {
  const { operations, phases, left, objects } = rowOf('twice');
  expect(phases).toEqual(['202', '202', '202', '1', '409']);
  const [joined, refused, gone] = operations;
  expect([joined?.phase, gone?.phase]).toEqual(['Succeeded', 'Succeeded']);
  expect(refused).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^Nothing was touched: /) });
  expect(refused && findingsOf(refused)).toEqual(['HostUnique']);
  expect({ left, objects }).toEqual({ left: [], objects: [] });
});
