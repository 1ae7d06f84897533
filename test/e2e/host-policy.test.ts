/** Whose host it is: foreign hosts, logins and a host under two names, through the API and through a workflow started by hand. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { ulid } from 'ulid';

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

/** What Meshlift has of the machine: in the cluster, on it, its proxy's start, and how it is captured. */
async function standing(namespace: string): Promise<string> {
  const kinds = 'workloadgroups,workloadentries,sidecars,peerauthentications';
  const each = '{range .items[*]}{.kind} {.metadata.name} {.metadata.generation} {.metadata.labels}{"\\n"}{end}';
  const ofMachine = ['get', kinds, '-l', `meshlift.dev/machine=${machine.name}`, '-o', `jsonpath=${each}`];
  const objects = await command('kubectl', '-n', namespace, ...ofMachine);
  expect(objects).toContain('WorkloadEntry');
  const files = await onMachine(
    machine,
    `find /var/lib/meshlift /var/lib/istio /etc/istio -type f ! -name lock -exec sha256sum {} + | sort
    systemctl show istio --property=InvocationID,ActiveState
    iptables-save -t nat | grep '^-A'`,
  );
  return objects + files;
}

/** Every login that the machine's sshd has ever seen, this question's own left out. */
async function connections(): Promise<number> {
  const seen = await onMachine(machine, 'journalctl --sync; journalctl -q --no-pager _COMM=sshd | grep -c Accepted');
  return Number(seen) - 1;
}

const workflow = (verb: 'start' | 'execute', type: string, id: string, input: object): string[] => [
  ...['workflow', verb, '--type', type, '--task-queue', 'meshlift', '--workflow-id', id],
  ...['--input', JSON.stringify(input)],
];

/**
 * Every workflow that takes a host, as somebody starts it who reaches Temporal: it claims that the machine is a member. `floors` and
 * `migrateWorkload` take none, they know machines by namespace and name.
 */
async function byHand(body: OnboardMachine): Promise<Operation[]> {
  const member = { isEnforced: false, isDrained: false };
  const terms = { allowDisruption: true, allowUnproven: true, deadlineSeconds: 5 };
  const inputs = [
    ['onboardMachine', 'onboard', { isMember: true }],
    ['offboardMachine', 'offboard', { isMember: true, isPresent: true }],
    ['drainMachine', 'drain', { request: { verb: 'drain', body: terms }, member }],
    ['drainMachine', 'undrain', { request: { verb: 'undrain', body: {} }, member: { ...member, isDrained: true } }],
    ['restartMachine', 'restart-proxy', { request: terms, member }],
    ['enforceMachine', 'enforce', { request: { mode: 'enforce', allowPlaintextCallers: true }, member }],
  ] as const;
  return await Promise.all(
    inputs.map(async ([type, verb, more]) => {
      const id = `${verb}-${body.namespace}-${body.name}-${ulid()}`;
      await platform.temporal(...workflow('start', type, id, { body, ...more }));
      return await platform.api.finished(id);
    }),
  );
}

/** The machine's entity, asked by its own update past the API. */
async function asEntity(body: OnboardMachine): Promise<Operation> {
  const entity = `machine/${body.namespace}/${body.name}`;
  const operationId = `onboard-${body.namespace}-${body.name}-${ulid()}`;
  await platform.temporal(
    ...workflow('start', 'machine', entity, { namespace: body.namespace, name: body.name }),
    ...['--id-conflict-policy', 'UseExisting'],
  );
  const request = JSON.stringify({ operationId, bodyDigest: 'by-hand', body });
  const update = ['workflow', 'update', 'execute', '--workflow-id', entity, '--name', 'onboard', '--input', request];
  await platform.temporal(...update);
  return await platform.api.finished(operationId);
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

  test.each([
    ['a foreign host', () => claim(stranger.name), /does not allow the address/],
    [
      'a foreign login',
      () => claim(owner.name, { credentialsName: 'other-ssh' }),
      /does not allow the credential other-ssh/,
    ],
  ])(
    'gains nothing by a workflow that is started by hand with %s',
    async (_what, body, refusal) => {
      const before = await connections();
      const [operations, asked, plan] = await Promise.all([
        byHand(body()),
        asEntity(body()),
        platform.temporal(...workflow('execute', 'planMachine', `plan-${ulid()}`, { body: body(), isMember: true })),
      ]);
      for (const operation of [...operations, asked]) {
        expect(operation.phase).toBe('Failed');
        expect(blockingOf(operation)).toContainEqual(
          expect.objectContaining({ reason: 'HostNotAllowed', message: expect.stringMatching(refusal) }),
        );
      }
      const { result } = JSON.parse(plan) as { readonly result: Plan };
      expect(hostAllowed(result)).toMatchObject({ status: 'False', message: expect.stringMatching(refusal) });
      expect((await connections()) - before).toBe(1);
    },
    120_000,
  );

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

  // Nor by hand, as a machine of the other namespace or as another one of the same.
  const asItStands = await standing(namespace);
  const others = [claim(lost), { ...claim(namespace), name: 'another-name' }];
  for (const operation of (await Promise.all(others.map(byHand))).flat()) {
    expect({ ...operation.target, verb: operation.verb, phase: operation.phase }).toMatchObject({
      phase: expect.stringMatching(/^(Failed|RolledBack)$/),
    });
    expect(operation.message).toMatch(/another machine's already|is machine \S+ already|of another namespace/);
  }
  expect(await standing(namespace)).toBe(asItStands);
  expect(await objectsOf(lost, machine.name)).toEqual([]);
  expect(await objectsOf(namespace, 'another-name')).toEqual([]);
  const offboarded = await platform.api.finished((await platform.api.offboard(namespace, machine.name)).id);
  expect(offboarded.phase).toBe('Succeeded');
}, 400_000);
