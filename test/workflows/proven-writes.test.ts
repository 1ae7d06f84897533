/** When a write of a migration is taken to be at every client, and when istiod has to push it once more for that. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ApplicationFailure } from '@temporalio/activity';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker';

import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { bundleOf } from '../../worker/workflow-bundle.ts';
import type { Proving, proving } from '../support/proving.ts';

const workflowsPath = new URL('../support/proving.ts', import.meta.url).pathname;
const ref = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  namespace: 'shop',
  name: 'meshlift-orders',
};
const [inTime, later] = ['in time', 'later'].map((at) => [{ istiodPod: 'istiod-a', at }]);

/** What istiod and its clients would show. */
interface World {
  /** Timed writes are seen before their second ends; default true. */
  readonly isSeenInTime?: boolean;
  /** What is written in time is pushed later than that; default true. */
  readonly isPushedLater?: boolean;
  /** Clients ask for what is new; default true. */
  readonly isAskedFor?: boolean;
}

const again = ['again', 'every client has a later push'];
const rows: Record<string, { writes: readonly Proving[]; world?: World; calls: readonly (readonly string[])[] }> = {
  'what is seen in time is proven by its first push': {
    writes: [{ mayWait: true }, { mayWait: true, isRemoval: true }],
    calls: [
      ['timed', 'every client has a later push'],
      ['timed', 'every client has a later push'],
    ],
  },
  'what is not seen in time is pushed once more, and the next one is timed again': {
    writes: [{ mayWait: true }, { mayWait: true, isRemoval: true }],
    world: { isSeenInTime: false },
    calls: [
      ['timed', 'held', ...again],
      ['timed', 'gone', ...again],
    ],
  },
  'what is seen in time and pushed too early is pushed once more, and nothing is timed after it': {
    writes: [{ mayWait: true }, { mayWait: true }],
    world: { isPushedLater: false },
    calls: [
      ['timed', 'no client has a later push', ...again],
      ['at once', 'held', ...again],
    ],
  },
  'what traffic waits for is written at once': {
    writes: [{}],
    calls: [['at once', 'held', ...again]],
  },
  'what clients ask for is pushed once': {
    writes: [{ isAsked: true }],
    calls: [['at once', 'held', 'asked for']],
  },
  'what a client does not ask for is pushed once more': {
    writes: [{ isAsked: true }],
    world: { isAskedFor: false },
    calls: [['at once', 'held', 'not asked for', ...again]],
  },
};

let connection: NativeConnection;
let client: Client;
let workflowBundle: WorkflowBundleWithSourceMap;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
  const { temporalAddress: address } = await sandboxEnv();
  connection = await NativeConnection.connect({ address });
  client = new Client({ connection: await Connection.connect({ address }) });
  workflowBundle = await bundleOf(workflowsPath);
}, 60_000);

afterAll(async () => {
  await client.connection.close();
  await connection.close();
});

/** What was called, each call once however often it is tried. */
function activitiesOf({ isSeenInTime = true, isPushedLater = true, isAskedFor = true }: World, calls: string[]) {
  const called = (what: string): void => {
    if (calls.at(-1) !== what) calls.push(what);
  };
  const refuse = (what: string): never => {
    called(what);
    throw new ApplicationFailure(what, 'RouteUnacknowledged');
  };
  let isPushedAgain = false;
  return {
    write: ({ isTimed }: { isTimed: boolean }) => {
      isPushedAgain = false;
      called(isTimed ? 'timed' : 'at once');
      return { refs: [ref], ...(isTimed && isSeenInTime ? { seen: inTime } : {}) };
    },
    writeAgain: () => {
      isPushedAgain = true;
      called('again');
    },
    verifyHeld: ({ push }: { push: string | null }) => {
      called(push === null ? 'gone' : 'held');
      return later;
    },
    verifyPushed: () => {
      if (!isPushedLater && !isPushedAgain) refuse('no client has a later push');
      called('every client has a later push');
    },
    verifyAsked: () => {
      if (!isAskedFor) refuse('not asked for');
      called('asked for');
    },
  };
}

test.concurrent.each(Object.entries(rows))(
  '%s',
  async (name, { writes, world = {}, calls }) => {
    const found: string[] = [];
    const taskQueue = `proven-writes-${Date.now().toString(36)}-${Object.keys(rows).indexOf(name)}`;
    const activities = activitiesOf(world, found);
    const worker = await Worker.create({ connection, taskQueue, workflowBundle, activities });
    await worker.runUntil(
      client.workflow.execute<typeof proving>('proving', { taskQueue, workflowId: taskQueue, args: [writes] }),
    );
    expect(found).toEqual(calls.flat());
  },
  60_000,
);
