/** How operations end where a machine is a member already, a cancel request came before, or another left its fence. The facts are made up. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/client';

import type { Activities } from '../../activities/index.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import type { OffboardInput } from '../../workflows/offboard-machine.ts';
import type { OnboardInput } from '../../workflows/onboard-machine.ts';
import { machine, member, memberMachine, rendered, request } from '../plan/facts.ts';
import { startTestWorker, type TestWorker } from '../support/test-worker.ts';

const run = Date.now().toString(36);
const changed = (...what: string[]) => Promise.resolve({ changed: what, recorded: false });
const connected = { istiodPod: 'istiod-1', revision: '1-30-0', unacknowledged: [], rejected: [] };
const entry = { name: 'orders-192.0.2.11', address: '192.0.2.11', labels: {} };

/** What each machine's activities do otherwise than a good one's; by name. */
const cases = new Map<string, { facts: MachineFacts; activities: Partial<Activities> }>();
/** Fences and versions that activities were told. */
const told: { fence?: number; version?: string } = {};

let worker: TestWorker;
let current = '';

/** Tests run one after another, so that the case that runs is the one that is meant. */
function good(activities: Activities): Activities {
  const made: Partial<Activities> = {
    readClusterFacts: () => Promise.resolve(member.cluster),
    inspectMachine: () => Promise.resolve(cases.get(current)?.facts ?? memberMachine),
    renderMachine: () => Promise.resolve(rendered),
    writeBootstrapFiles: () => changed('WriteFile /var/lib/istio/envoy/cluster.env'),
    startProxy: ({ fence }) => {
      told.fence = fence;
      return changed('StartProxy istio.service');
    },
    confirmCapture: () => changed(),
    stopProxy: () => changed('StopProxy istio.service'),
    restoreMachine: () => changed('Restore'),
    verifyConnected: ({ version }) => {
      told.version = version;
      return Promise.resolve({ ...connected, version });
    },
    verifyRegistered: () => Promise.resolve(entry),
    verifyHealthy: () => Promise.resolve(entry),
    drainWorkloadEntry: () => Promise.resolve(true),
    verifyNotGivenOut: () => Promise.resolve(),
    askLease: () => Promise.resolve({ kind: 'Granted', disrupts: [] }),
    holdMachine: () => changed('Hold /var/lib/meshlift/hold'),
    releaseMachine: () => changed(),
    stopCapture: () => changed(),
    drainProxy: () => changed(),
    verifyLabelSeen: () => Promise.resolve({ hosts: [], seen: [] }),
    verifyQuiet: () => Promise.resolve(quiet),
    removeWorkloadEntry: () => Promise.resolve([]),
    removeObjects: () => Promise.resolve([]),
    removeGroupIfUnused: () => Promise.resolve([]),
    readWorkloadEntry: () => Promise.resolve(undefined),
  };
  const replaced = Object.entries({ ...activities, ...made }).map(([name, standard]) => [
    name,
    async (input: never): Promise<unknown> => {
      const own = cases.get(current)?.activities[name as keyof Activities];
      return await ((own ?? standard) as (input: never) => Promise<unknown>)(input);
    },
  ]);
  return Object.fromEntries(replaced) as Activities;
}

const quiet = { isProxyUp: true, active: 0, came: 0, senders: [], outboundFailed: 0 };

async function start(
  type: 'onboardMachine' | 'offboardMachine',
  title: string,
  input: Omit<OnboardInput & OffboardInput, 'body'>,
  facts: MachineFacts,
  activities: Partial<Activities> = {},
) {
  current = title;
  cases.set(title, { facts, activities });
  const workflowId = `${title}-${run}`;
  return await worker.client.workflow.start(type, {
    workflowId,
    taskQueue: 'meshlift',
    args: [{ body: request, ...input, waits: { readableMs: 3_000, ...input.waits } }],
  });
}

async function endOf(handle: Awaited<ReturnType<typeof start>>): Promise<Operation> {
  const [ended] = await Promise.allSettled([handle.result()]);
  const operation = await handle.query<Operation>('operation');
  expect(ended.status === 'fulfilled').toBe(operation.phase === 'Succeeded');
  const { memo } = await handle.describe();
  expect(memo).toMatchObject({ isCancellable: false });
  return operation;
}

const stopped = { ...memberMachine, files: [], unit: { ...memberMachine.unit, activeState: 'failed' } };
const refuses = (type: string) => () => Promise.reject(ApplicationFailure.nonRetryable(`${type} for good`, type));

beforeAll(async () => {
  worker = await startTestWorker(await sandboxEnv(), 'meshlift-operations', good);
}, 60_000);

afterAll(async () => {
  await worker.stop();
});

test('a repair that fails half-way is Failed, says what stays, and takes no member out', async () => {
  const activities = { startProxy: refuses('ObjectRejected') } as Partial<Activities>;
  const operation = await endOf(await start('onboardMachine', 'half', { isMember: true }, stopped, activities));
  expect(operation.phase).toBe('Failed');
  expect(operation.message).toContain(
    'shop/orders-1 stays a member; what writeBootstrapFiles, startProxy changed stays',
  );
}, 60_000);

test('goes above the fence that another operation left on the machine', async () => {
  const facts = { ...memberMachine, isCaptured: false, journal: { ...memberMachine.journal, fence: 7 } };
  const activities = {
    startProxy: (input: { fence: number }) => {
      told.fence = input.fence;
      return Promise.reject(ApplicationFailure.nonRetryable('not ready', 'ProxyNotReady'));
    },
  } as Partial<Activities>;
  await endOf(await start('onboardMachine', 'fence', { isMember: true, fence: 3 }, facts, activities));
  expect(told.fence).toBe(8);
}, 60_000);

test('a failure that comes after a cancel request ends the operation as cancelled', async () => {
  const activities = {
    applyObjects: async () => {
      await Context.current().cancelled.catch(() => undefined);
      throw ApplicationFailure.nonRetryable('too late', 'ObjectRejected');
    },
  } as Partial<Activities>;
  const facts = { ...machine, journal: { ...machine.journal } };
  const handle = await start('onboardMachine', 'cancelled', { isMember: false }, facts, {
    ...activities,
    readClusterFacts: () => Promise.resolve({ ...member.cluster, objects: [] }),
    findPackage: () => Promise.resolve({ name: 'p', version: '1.30.0', sha256: '', localPath: '' }),
  });
  for (let look = 0; look < 100; look++) {
    const { steps } = await handle.query<Operation>('operation');
    if (steps[0]?.phase === 'Running') break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await handle.cancel();
  expect(await endOf(handle)).toMatchObject({ phase: 'Cancelled' });
}, 60_000);

test('names the restart that a change under a running proxy waits for, and verifies the version that runs', async () => {
  const facts = {
    ...memberMachine,
    files: memberMachine.files.slice(1),
    proxy: { ...memberMachine.proxy, runningVersion: '1.29.2' },
  };
  const operation = await endOf(await start('onboardMachine', 'restart', { isMember: true }, facts));
  expect(operation).toMatchObject({ phase: 'Succeeded', next: expect.stringContaining('restart-proxy') });
  expect(operation.conditions).toContainEqual(
    expect.objectContaining({ type: 'ProxyUpToDate', status: 'False', reason: 'RestartRequired', category: 'Warning' }),
  );
  expect(told.version).toBe('1.29.2');
}, 60_000);

test('claims no end of what it could not look at', async () => {
  let looks = 0;
  const activities = {
    inspectMachine: () => {
      looks += 1;
      return looks === 1 ? Promise.resolve(memberMachine) : refuses('HostAuthRejected')();
    },
  } as Partial<Activities>;
  const operation = await endOf(
    await start('offboardMachine', 'unseen', { isMember: true }, memberMachine, activities),
  );
  expect(operation).toMatchObject({ phase: 'Failed', message: expect.stringContaining('HostAuthRejected for good') });
}, 60_000);
