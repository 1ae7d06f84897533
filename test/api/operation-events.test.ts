import { describe, expect, test } from '@jest/globals';

import { operationEvents, READ_EVERY_MS, sharedReads } from '../../api/operation-events.ts';
import { problem } from '../../api/problems.ts';
import type { Operation } from '../../api/schemas/operation.ts';

const running: Operation = {
  id: 'onboard-shop-orders-1-01JZ0000000000000000000000',
  verb: 'onboard',
  target: { namespace: 'shop', name: 'orders-1' },
  phase: 'Running',
  revision: 3,
  steps: [],
  conditions: [],
};
const later: Operation = { ...running, revision: 4, waitingFor: 'shop/orders-1 to be ready' };
const ended: Operation = { ...running, revision: 9, phase: 'Succeeded' };

interface Script {
  readonly lastEventId?: number;
  /** What each further read says. */
  readonly reads?: readonly (Operation | Error)[];
  readonly signal?: AbortSignal;
}

/** Every line of the stream that says something of the operation. */
async function told({ lastEventId, reads = [], signal = new AbortController().signal }: Script): Promise<string[]> {
  const answers = [...reads];
  const read = (): Promise<Operation> => {
    const answer = answers.shift() ?? ended;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  const events = operationEvents({
    operation: running,
    lastEventId,
    read,
    reauthorise: () => Promise.resolve(),
    signal,
  });
  const text: string[] = [];
  for await (const event of events) text.push(event);
  return text.join('').match(/^(id|event): .*$/gm) ?? [];
}

describe('a stream of events', () => {
  test('tells what changed under its revision, and ends with the operation', async () => {
    expect(await told({ reads: [running, later, ended] })).toEqual([
      ...['id: 3', 'event: operation', 'id: 4', 'event: operation', 'id: 9', 'event: operation'],
    ]);
  });

  test('that resumes leaves out what its caller has seen', async () => {
    expect(await told({ lastEventId: 3, reads: [running, ended] })).toEqual(['id: 9', 'event: operation']);
  });

  test('that resumes with an older revision is told what is so now', async () => {
    expect(await told({ lastEventId: 2, reads: [ended] })).toEqual([
      ...['id: 3', 'event: operation', 'id: 9', 'event: operation'],
    ]);
  });

  test('waits where no worker answers for a while', async () => {
    expect(await told({ reads: [problem('no-worker'), ended] })).toEqual([
      ...['id: 3', 'event: operation', 'id: 9', 'event: operation'],
    ]);
  });

  test('ends with a problem where it may not go on', async () => {
    expect(await told({ reads: [problem('operation-not-found'), ended] })).toEqual([
      ...['id: 3', 'event: operation', 'event: problem'],
    ]);
  });

  test('stops when its caller leaves, in the middle of a wait', async () => {
    const left = new AbortController();
    const stopped = told({ signal: left.signal });
    left.abort();
    expect(await stopped).toEqual(['id: 3', 'event: operation']);
  });
});

test('however many streams read an operation, it is asked once in a while', async () => {
  let asked = 0;
  const read = sharedReads(() => Promise.resolve({ ...running, revision: ++asked }), 20);
  await Promise.all(['a', 'a', 'a', 'b'].map((id) => read(id)));
  expect(asked).toBe(2);
  while ((await read('a')).revision === 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(asked).toBe(3);
  expect(READ_EVERY_MS).toBeGreaterThanOrEqual(1_000);
});
