/**
 * One row per activity of onboarding: that activity fails for good, everything else is real, and no workflow is cached, so that
 * each task replays its history. Both sides end as they were.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ApplicationFailure, WithStartWorkflowOperation } from '@temporalio/client';
import { ulid } from 'ulid';

import type { Activities } from '../../activities/index.ts';
import type { Machine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { onboardRequest, sandbox, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { command, freshMachine } from '../support/sandbox.ts';
import { startTestWorker, type TestWorker } from '../support/test-worker.ts';
import type { Accepted, MachineInput, OnboardRequest } from '../../workflows/messages.ts';

const rows = [
  'applyObjects',
  'installPackage',
  'writeBootstrapFiles',
  'startProxy',
  'confirmCapture',
  'verifyConnected',
  'verifyRegistered',
  'verifyHealthy',
] as const satisfies readonly (keyof Activities)[];
type Row = (typeof rows)[number];

const namespace = 'shop';
const once = ulid().slice(-6).toLowerCase();
/** Every input names the machine or, in the checks of its WorkloadEntry, its group. */
const groupOf = (row: Row): string => `group-of-${row.toLowerCase()}-${once}`;
const atOnce = 3;

type Activity = (input: unknown) => Promise<unknown>;
type MachineWorkflow = (input: MachineInput) => Promise<Machine | undefined>;

interface Ended {
  readonly operation: Operation;
  readonly machine: Machine;
  readonly left: readonly string[];
  readonly objects: readonly string[];
}

const machines = new Map<Row, SandboxMachine>();
const ended = new Map<Row, Ended>();
let worker: TestWorker;

/** The row's activity fails where its input speaks of the row's machine; elsewhere it is the real one. */
function failing(activities: Activities): Activities {
  const replaced = rows.map((row) => {
    const { [row]: real } = activities as Record<Row, Activity>;
    const activity = async (input: unknown): Promise<unknown> => {
      const machine = machines.get(row);
      const text = JSON.stringify(input);
      if (machine !== undefined && (text.includes(machine.name) || text.includes(groupOf(row)))) {
        throw ApplicationFailure.nonRetryable(`${row} fails on ${machine.name}`, 'RowFailure');
      }
      return await real(input);
    };
    return [row, activity];
  });
  return { ...activities, ...(Object.fromEntries(replaced) as Partial<Activities>) };
}

async function run(row: Row): Promise<Ended> {
  const env = await sandboxEnv();
  const machine = await freshMachine(`row-${row.toLowerCase()}`, namespace);
  machines.set(row, machine);
  const asFound = await snapshot(machine);
  const operationId = `onboard-${namespace}-${machine.name}-01`;
  const start = new WithStartWorkflowOperation<MachineWorkflow>('machine', {
    workflowId: `machine/${namespace}/${machine.name}`,
    taskQueue: 'meshlift',
    args: [{ namespace, name: machine.name }],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
  const request: OnboardRequest = {
    operationId,
    bodyDigest: row,
    body: onboardRequest(env, machine, groupOf(row)),
  };
  await worker.client.workflow.executeUpdateWithStart<MachineWorkflow, Accepted, [OnboardRequest]>('onboard', {
    startWorkflowOperation: start,
    args: [request],
  });
  const handle = await start.workflowHandle();
  await handle.result();
  const outcome: Ended = {
    operation: await worker.client.workflow.getHandle(operationId).query<Operation>('operation'),
    machine: await handle.query<Machine>('machine'),
    left: difference(asFound, await snapshot(machine)),
    objects: await objectsOf(machine.name, groupOf(row)),
  };
  await sandbox('machine', 'remove', machine.name);
  return outcome;
}

async function objectsOf(...names: string[]): Promise<string[]> {
  const kinds = 'serviceaccounts,workloadgroups,workloadentries,peerauthentications,sidecars';
  const all = (await command('kubectl', '-n', namespace, 'get', kinds, '-o', 'name')).split('\n');
  return all.filter((object) => names.some((name) => object.includes(name)));
}

beforeAll(async () => {
  worker = await startTestWorker(await sandboxEnv(), `failure-rows-${once}`, failing);
  for (let first = 0; first < rows.length; first += atOnce) {
    await Promise.all(rows.slice(first, first + atOnce).map(async (row) => ended.set(row, await run(row))));
  }
}, 900_000);

afterAll(async () => {
  await worker.stop();
});

describe('onboarding whose activity fails for good', () => {
  test.each(rows)('%s: is rolled back, names the cause, and leaves both sides as found', (row) => {
    const end = ended.get(row);
    expect(end).toMatchObject({
      operation: {
        phase: 'RolledBack',
        message: expect.stringContaining(`${row} fails on row-${row.toLowerCase()}-`) as unknown,
      },
      machine: { phase: 'Failed' },
      left: [],
      objects: [],
    });
  });
});
