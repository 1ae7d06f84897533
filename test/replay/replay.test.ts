/** Every recorded history replays against the workflows as they are now: a change that would break a running one fails here. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';

import { bundled, bundleOf } from '../../worker/workflow-bundle.ts';
import * as workflows from '../../workflows/index.ts';
import { readHistory } from '../support/read-history.ts';

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });

const folder = join(import.meta.dirname, 'histories');
const histories = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => ({ workflowId: name, history: readHistory(join(folder, name)) }));

describe('recorded histories', () => {
  test('cover every workflow', () => {
    const types = histories.map(
      ({ history }) => history.events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name,
    );
    expect([...new Set(types)].sort()).toEqual(Object.keys(workflows).sort());
  });

  test('replay', async () => {
    const workflowBundle = await bundleOf(bundled.workflowsPath);
    const failures: string[] = [];
    let replayed = 0;
    for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, histories)) {
      replayed += 1;
      if (error) failures.push(`${workflowId}: ${error.message}`);
    }
    expect({ failures, replayed }).toEqual({ failures: [], replayed: histories.length });
  }, 120_000);
});
