/** How a change of isolation ends: one row per step that fails, a cancel, a repeat. Cluster and machine are made up, and remember. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/client';

import type { Activities } from '../../activities/index.ts';
import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { EnforceMachine } from '../../api/schemas/verbs.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import type { MemberInput } from '../../workflows/messages.ts';
import { member, memberMachine, rendered, request } from '../plan/facts.ts';
import { startTestWorker, type TestWorker } from '../support/test-worker.ts';

/** Temporal's number of a pending activity's state. */
const CANCEL_REQUESTED = 3;
const run = Date.now().toString(36);
const policy = (kind: string, mode: string): KubernetesObject => ({
  apiVersion: 'security.istio.io/v1',
  kind,
  metadata: { name: 'meshlift-orders-1', namespace: 'shop' },
  spec: { mode },
});
const policies = {
  observe: ['PeerAuthentication', 'Sidecar'].map((kind) => policy(kind, 'observe')),
  enforce: ['PeerAuthentication', 'Sidecar', 'AuthorizationPolicy'].map((kind) => policy(kind, 'enforce')),
};
type Mode = keyof typeof policies;

/** Both sides as they stand. */
interface World {
  objects: readonly KubernetesObject[];
  isEnforced: boolean;
  excludedPorts: readonly number[];
}
const at = (mode: Mode): World => ({
  objects: policies[mode],
  isEnforced: mode === 'enforce',
  excludedPorts: mode === 'enforce' ? [] : [2525],
});

let world = at('observe');
let failing: keyof Activities | undefined;
let callers: MachineFacts['flows'] = [];
let isWaiting = false;
let worker: TestWorker;

const changed = (what: string) => Promise.resolve({ changed: [what], recorded: false });
const facts = (): MachineFacts => ({
  ...memberMachine,
  isEnforced: world.isEnforced,
  excludedPorts: world.excludedPorts,
  flows: callers,
  proxy: {
    ...memberMachine.proxy,
    policy: {
      plaintextPorts: isStrict() ? [] : ['*'],
      reachesAnything: !isStrict(),
      authorizations: isStrict() ? ['shop/meshlift-orders-1'] : [],
    },
  },
});
const isStrict = (): boolean => world.objects.some(({ kind }) => kind === 'AuthorizationPolicy');

/** A step that fails has done its work all the same: nobody heard of it. */
function madeUp(activities: Activities): Activities {
  const made: Partial<Activities> = {
    readClusterFacts: () => Promise.resolve({ ...member.cluster, objects: world.objects }),
    inspectMachine: () => Promise.resolve(facts()),
    findMachinesOnHost: () => Promise.resolve([]),
    renderMachine: ({ enforcement = 'observe' }) =>
      Promise.resolve({
        ...rendered,
        objects: policies[enforcement],
        enforcement,
        excludedPorts: at(enforcement).excludedPorts,
      }),
    readWorkloadEntry: () => Promise.resolve(undefined),
    readNeighbours: () => Promise.resolve({ proxies: [], policies: [], rootNamespace: 'istio-system' }),
    applyObjects: ({ objects }) => {
      const kept = world.objects.filter(({ kind }) => !objects.some((object) => object.kind === kind));
      world.objects = [...kept, ...objects];
      return Promise.resolve([]);
    },
    removeObjects: ({ objects }) => {
      world.objects = world.objects.filter(({ kind }) => !objects.some((object) => object.kind === kind));
      return Promise.resolve([]);
    },
    setEnforcement: ({ mode, excludePorts }) => {
      Object.assign(world, { isEnforced: mode === 'enforce', excludedPorts: excludePorts });
      return changed(`SetEnforcement ${mode}`);
    },
    confirmCapture: () => changed('ConfirmCapture istio.service'),
    verifyConnected: ({ version }) =>
      Promise.resolve({ istiodPod: 'istiod-1', revision: '1-30-0', version, unacknowledged: [], rejected: [] }),
    verifyRegistered: () => Promise.resolve({ name: 'orders-192.0.2.11', address: '192.0.2.11', labels: {} }),
    verifyHealthy: () => Promise.resolve({ name: 'orders-192.0.2.11', address: '192.0.2.11', labels: {} }),
  };
  const replaced = Object.entries({ ...activities, ...made }).map(([name, standard]) => [
    name,
    async (input: never): Promise<unknown> => {
      const result = await (standard as (input: never) => Promise<unknown>)(input);
      if (name !== failing) return result;
      failing = undefined;
      if (isWaiting) await eventually('the cancel is asked for', () => !isWaiting);
      throw ApplicationFailure.nonRetryable(`${name} fails for good`, 'RowFailure');
    },
  ]);
  return Object.fromEntries(replaced) as Activities;
}

async function start(title: string, asked: EnforceMachine, mode: Mode = 'observe') {
  world = at(mode);
  const input: MemberInput<EnforceMachine> = {
    body: request,
    request: asked,
    member: { isEnforced: mode === 'enforce', isDrained: false },
    waits: { readableMs: 3_000, connectedMs: 3_000 },
  };
  return await worker.client.workflow.start('enforceMachine', {
    workflowId: `${title}-${run}`,
    taskQueue: 'meshlift',
    args: [input],
  });
}

async function endOf(handle: Awaited<ReturnType<typeof start>>): Promise<Operation> {
  await handle.result().catch(() => undefined);
  return await handle.query<Operation>('operation');
}

const byKind = ({ objects, ...rest }: World): unknown => ({
  ...rest,
  objects: [...objects].sort((a, b) => a.kind.localeCompare(b.kind)),
});

beforeAll(async () => {
  worker = await startTestWorker(await sandboxEnv(), 'meshlift-enforce', madeUp);
}, 60_000);
afterAll(async () => {
  await worker.stop();
});
beforeEach(() => {
  failing = undefined;
  callers = [];
  isWaiting = false;
});

const rows: readonly (keyof Activities)[] = [
  'applyObjects',
  'setEnforcement',
  'confirmCapture',
  'verifyConnected',
  'verifyRegistered',
  'verifyHealthy',
];
test.each(rows.flatMap((row) => (['enforce', 'observe'] as const).map((mode): [string, Mode] => [row, mode])))(
  'where %s fails on the way to %s, both sides are as they were',
  async (row, mode) => {
    failing = row as keyof Activities;
    const before: Mode = mode === 'enforce' ? 'observe' : 'enforce';
    const operation = await endOf(await start(`${row}-${mode}`, { mode }, before));
    expect(operation).toMatchObject({
      phase: 'RolledBack',
      message: `${row} fails for good; shop/orders-1 is at ${before} as before`,
    });
    expect(byKind(world)).toEqual(byKind(at(before)));
  },
  60_000,
);

test('where it is cancelled half-way, both sides are as they were', async () => {
  failing = 'setEnforcement';
  isWaiting = true;
  const handle = await start('cancelled', { mode: 'enforce' });
  await eventually('the machine is changed', () => world.isEnforced);
  await handle.cancel();
  await eventually('the cancel is known', async () => {
    const { raw } = await handle.describe();
    return raw.pendingActivities?.some(({ state }) => Number(state) === CANCEL_REQUESTED) === true;
  }).finally(() => (isWaiting = false));
  expect(await endOf(handle)).toMatchObject({ phase: 'Cancelled' });
  expect(byKind(world)).toEqual(byKind(at('observe')));
}, 60_000);

test('ends as asked, in both directions, and a repeat writes nothing', async () => {
  expect(await endOf(await start('there', { mode: 'enforce' }))).toMatchObject({ phase: 'Succeeded' });
  expect(byKind(world)).toEqual(byKind(at('enforce')));
  failing = 'applyObjects';
  const again = await endOf(await start('again', { mode: 'enforce' }, 'enforce'));
  expect(again.message).toBe('shop/orders-1 is at enforce as wanted; nothing was written');
  failing = undefined;
  expect(await endOf(await start('back', { mode: 'observe' }, 'enforce'))).toMatchObject({ phase: 'Succeeded' });
  expect(byKind(world)).toEqual(byKind(at('observe')));
}, 60_000);

test('touches nothing while callers outside the mesh remain', async () => {
  callers = [{ local: '192.0.2.11:8080', remote: '192.0.2.99', direction: 'inbound' }];
  const refused = await endOf(await start('refused', { mode: 'enforce' }));
  expect(refused.phase).toBe('Failed');
  expect(refused.message).toMatch(/^Nothing was touched: .*192\.0\.2\.99 to port 8080/);
  expect(byKind(world)).toEqual(byKind(at('observe')));
}, 60_000);
