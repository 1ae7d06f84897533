/** Whose host it is: foreign hosts, logins and a host under two names, through the API and through a workflow started by hand. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { fingerprintOf } from '../../activities/adapters/host-key.ts';
import type { OnboardMachine, Plan } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { onboardRequest, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { ask, blockingOf, objectsOf } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, onMachine } from '../support/sandbox.ts';

let platform: Platform;
let owner: TestNamespace;
let stranger: TestNamespace;
let machine: SandboxMachine;

const policy = (namespace: string, spec: object) => ({
  apiVersion: 'meshlift.dev/v1alpha1',
  kind: 'HostPolicy',
  metadata: { name: namespace },
  spec: { namespaces: [namespace], credentials: ['sandbox-ssh'], users: ['ops'], ...spec },
});

beforeAll(async () => {
  [platform, owner, stranger] = await Promise.all([startPlatform(), testNamespace('owner'), testNamespace('stranger')]);
  machine = await platform.machine('claimed-1', 'shop');
  const { hostKey } = onboardRequest(platform.env, machine, 'any').host;
  const [, , key = ''] = 'knownHosts' in hostKey ? hostKey.knownHosts.split(/\s+/) : [];
  // The owner has the machine by its key, the stranger a network of the sandbox in which it does not stand.
  await applyObjects([
    policy(owner.name, { hostKeys: [fingerprintOf(Buffer.from(key, 'base64'))] }),
    policy(stranger.name, { cidrs: ['10.246.0.0/24'] }),
  ]);
}, 180_000);

afterAll(async () => {
  await command('kubectl', 'delete', 'hostpolicies', owner.name, stranger.name, '--ignore-not-found');
  await platform.stop();
  await Promise.all([owner.remove(), stranger.remove()]);
}, 120_000);

const claim = (namespace: string, host: Partial<OnboardMachine['host']> = {}): OnboardMachine => {
  const request = onboardRequest(platform.env, machine, machine.name);
  return { ...request, namespace, host: { ...request.host, ...host } };
};

const planned = async (request: OnboardMachine): Promise<Plan> =>
  await ask(async () => {
    const { status, body } = await platform.api.call<Plan>('POST', '/v1/machines?validateOnly=true', request);
    if (status !== 200) throw new Error(`The plan answered ${status}: ${JSON.stringify(body)}`);
    return body;
  });

const hostAllowed = ({ conditions }: Pick<Plan, 'conditions'>) => conditions.find(({ type }) => type === 'HostAllowed');

/** Every login that the machine's sshd has ever seen, this question's own left out. */
async function connections(): Promise<number> {
  const seen = await onMachine(machine, 'journalctl --sync; journalctl -q --no-pager _COMM=sshd | grep -c Accepted');
  return Number(seen) - 1;
}

describe('a namespace without a policy for the host', () => {
  test('may not claim it, whichever way it asks, and nobody connects', async () => {
    const before = await connections();
    const jump = claim(owner.name).host;
    const elsewhere = { ...claim(owner.name).host, address: '127.0.0.1' };
    const [foreign, credential, user, overJump, toElsewhere] = await Promise.all([
      planned(claim(stranger.name)),
      planned(claim(owner.name, { credentialsName: 'other-ssh' })),
      planned(claim(owner.name, { user: 'root' })),
      planned(claim(stranger.name, { jump })),
      // By its key the owner may have a host wherever it is, but not one whose key is seen first.
      planned(claim(owner.name, { ...elsewhere, hostKey: { trustOnFirstUse: true } })),
    ]);
    expect(hostAllowed(foreign)).toMatchObject({ status: 'False', category: 'Critical', reason: 'HostNotAllowed' });
    expect(hostAllowed(credential)?.message).toMatch(/does not allow the credential other-ssh/);
    expect(hostAllowed(user)?.message).toMatch(/does not allow the user root/);
    expect(hostAllowed(overJump)?.message).toMatch(/does not allow the address/);
    expect(hostAllowed(toElsewhere)?.message).toMatch(/does not allow the address 127\.0\.0\.1 or its host key/);

    const ended = await platform.api.finished((await platform.api.onboard(claim(stranger.name))).id);
    expect(ended.phase).toBe('Failed');
    expect(blockingOf(ended).map(({ type }) => type)).toContain('HostAllowed');
    expect(await objectsOf(stranger.name, machine.name)).toEqual([]);
    expect((await connections()) - before).toBe(1);
  }, 180_000);

  test('gains nothing by a workflow that is started by hand', async () => {
    const before = await connections();
    const start = async (type: string, id: string, input: object): Promise<Operation> => {
      const text = JSON.stringify(input);
      await platform.temporal(
        ...['workflow', 'start', '--type', type, '--task-queue', 'meshlift', '--workflow-id', id, '--input', text],
      );
      return await platform.api.finished(id);
    };
    const target = `${stranger.name}-${machine.name}`;
    const [onboarded, offboarded] = await Promise.all([
      start('onboardMachine', `onboard-${target}-01JZ0000000000000000000001`, {
        body: claim(stranger.name),
        isMember: true,
      }),
      start('offboardMachine', `offboard-${target}-01JZ0000000000000000000002`, {
        body: claim(stranger.name),
        isPresent: true,
      }),
    ]);
    for (const operation of [onboarded, offboarded]) {
      expect(operation.phase).toBe('Failed');
      expect(blockingOf(operation).map(({ reason }) => reason)).toContain('HostNotAllowed');
    }
    expect((await connections()) - before).toBe(1);
  }, 120_000);

  test('and the namespace that has one is let in', async () => {
    expect(hostAllowed(await planned(claim(owner.name)))).toMatchObject({ status: 'True' });
  }, 60_000);
});

test('one host under two names at once: one machine joins, the other loses and leaves it as it is', async () => {
  const requests = ['shop', 'bank'].map((namespace) => claim(namespace));
  const ended = await Promise.all(
    requests.map(async (request) => await platform.api.finished((await platform.api.onboard(request)).id)),
  );
  const [winner] = ended.filter(({ phase }) => phase === 'Succeeded');
  const [loser] = ended.filter(({ phase }) => phase !== 'Succeeded');
  expect(winner).toBeDefined();
  expect(loser?.phase).toMatch(/^(Failed|RolledBack)$/);
  expect(loser?.message).toMatch(
    /another machine's already|is a machine of another namespace|has the (host key|address) of/,
  );
  const { namespace = '' } = winner?.target ?? {};
  const lost = namespace === 'shop' ? 'bank' : 'shop';
  expect((await onMachine(machine, 'cat /var/lib/meshlift/owner')).trim()).toBe(`${namespace}/${machine.name}`);
  expect(await objectsOf(lost, machine.name)).toEqual([]);

  // Whoever asks for it again learns that it is taken, and not by whom.
  const again = (await planned(claim(lost))).conditions.find(({ type }) => type === 'HostUnique');
  expect(again).toMatchObject({ status: 'False', category: 'Critical' });
  expect(again?.message).toMatch(/machine of another namespace/);
  expect(again?.message).not.toContain(`${namespace}/`);

  const state = await onMachine(machine, 'systemctl is-active istio; test -s /var/lib/meshlift/journal && echo kept');
  expect(state.trim().split('\n')).toEqual(['active', 'kept']);
  const offboarded = await platform.api.finished((await platform.api.offboard(namespace, machine.name)).id);
  expect(offboarded.phase).toBe('Succeeded');
}, 400_000);
