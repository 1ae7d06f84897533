import { describe, expect, test } from '@jest/globals';

import { operationEvents, READ_EVERY_MS, sharedReads } from '../../api/operation-events.ts';
import { problem, type ProblemError } from '../../api/problems.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { grpcError } from '../support/grpc-error.ts';

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
  readonly onProblem?: (problem: ProblemError) => void;
}

/** Every line of the stream that says something of the operation. */
async function told(script: Script): Promise<string[]> {
  const { lastEventId, reads = [], signal = new AbortController().signal, onProblem = () => undefined } = script;
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
    onProblem,
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

  test.each([
    ['no worker answers', problem('no-worker')],
    ['no worker polls', grpcError(9)],
    ['Temporal is away', grpcError(14)],
    ['too much is asked of Temporal', grpcError(8)],
  ])('waits where %s for a while', async (_what, error) => {
    expect(await told({ reads: [error, ended] })).toEqual([
      ...['id: 3', 'event: operation', 'id: 9', 'event: operation'],
    ]);
  });

  test.each([
    [problem('operation-not-found'), 'operation-not-found'],
    [new Error('a bug'), 'internal'],
  ])('ends with a problem where it may not go on, which the log knows too (%s)', async (error, type) => {
    const logged: string[] = [];
    const lines = await told({ reads: [error, ended], onProblem: ({ problemType }) => logged.push(problemType) });
    expect(lines).toEqual(['id: 3', 'event: operation', 'event: problem']);
    expect(logged).toEqual([type]);
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
