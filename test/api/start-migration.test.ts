/** What a request for a migration meets under its name: nothing, a run, or one that has told its end and is about to be closed. */
import { describe, expect, test } from '@jest/globals';
import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

import { startMigration } from '../../api/migration-calls.ts';
import { ProblemError } from '../../api/problems.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import type { Temporal } from '../../api/temporal.ts';

const request: CreateMigration = {
  ...{ name: 'away', namespace: 'shop', workloadGroup: 'orders', service: 'orders' },
  ...{ target: { deployment: 'orders' }, steps: [{ weight: 100 }] },
};

interface Run {
  readonly memo: Readonly<Record<string, unknown>>;
  readonly phase: Operation['phase'];
  /** How many looks it takes until it is closed; undefined: it runs on. */
  readonly closesAfter?: number;
}

/** A Temporal that holds at most this run under the name, and counts what is started. */
function temporalWith(run?: Run) {
  let [current, looks, started] = [run, 0, 0];
  const handle = {
    describe: () => {
      looks += 1;
      if (current?.closesAfter !== undefined && looks > current.closesAfter) current = undefined;
      return Promise.resolve({ memo: run?.memo, status: { name: current === undefined ? 'FAILED' : 'RUNNING' } });
    },
    query: () => Promise.resolve({ phase: run?.phase }),
  };
  const start = (): Promise<void> => {
    if (current !== undefined) {
      return Promise.reject(new WorkflowExecutionAlreadyStartedError('taken', 'migrate.shop.away', 'migrateWorkload'));
    }
    started += 1;
    return Promise.resolve();
  };
  const client = { workflow: { getHandle: () => handle, start } } as unknown as Client;
  const temporal = {
    ...{ client, namespace: 'meshlift' },
    inTime: <T>(calls: () => Promise<T>) => calls(),
    workflowUrl: () => ({}),
  } as unknown as Temporal;
  return { temporal, startedRuns: () => started };
}

/** The digest that the API gives this body, as a first run would carry it. */
async function digestOf(body: CreateMigration): Promise<unknown> {
  let memo: Readonly<Record<string, unknown>> = {};
  const client = {
    workflow: {
      getHandle: () => ({ describe: () => Promise.resolve({ memo: {}, status: { name: 'FAILED' } }) }),
      start: (_: string, options: { memo: typeof memo }) => {
        ({ memo } = options);
        return Promise.resolve();
      },
    },
  };
  const inTime = <T>(calls: () => Promise<T>): Promise<T> => calls();
  await startMigration({ client, inTime, workflowUrl: () => ({}) } as unknown as Temporal, body);
  return memo['bodyDigest'];
}

describe('a request for a migration', () => {
  test('starts one where none runs', async () => {
    const { temporal, startedRuns } = temporalWith();
    expect(await startMigration(temporal, request)).toMatchObject({ id: 'migrate.shop.away', phase: 'Pending' });
    expect(startedRuns()).toBe(1);
  });

  test('is answered with the run that goes on with the same body', async () => {
    const { temporal, startedRuns } = temporalWith({
      memo: { bodyDigest: await digestOf(request) },
      phase: 'Waiting',
    });
    expect(await startMigration(temporal, request)).toMatchObject({ phase: 'Pending' });
    expect(startedRuns()).toBe(0);
  });

  test('is refused where one goes on with another body', async () => {
    const { temporal } = temporalWith({ memo: { bodyDigest: 'other' }, phase: 'Running' });
    const refused = await startMigration(temporal, request).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ProblemError);
    expect((refused as ProblemError).problemType).toBe('migration-exists');
  });

  test.each(['other', 'same'])('starts one after a run of the %s body that has told its end', async (body) => {
    const bodyDigest = body === 'same' ? await digestOf(request) : 'other';
    const { temporal, startedRuns } = temporalWith({ memo: { bodyDigest }, phase: 'RolledBack', closesAfter: 3 });
    await startMigration(temporal, request);
    expect(startedRuns()).toBe(1);
  });
});
