/** Writes that their first push proves: when they are made, and what was seen in time. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import type { AppliedObject } from '../../activities/ports/cluster-port.ts';
import type { HeldLook, MeshPort } from '../../activities/ports/mesh-port.ts';
import { pushAnnotation } from '../../activities/render/cutover-routes.ts';
import { untilTimelyMs, writeInTime } from '../../activities/timed-write.ts';

describe('a write is in time, by the milliseconds of a second', () => {
  test.each([
    [0, 920],
    [500, 420],
    [919, 1],
    [920, 0],
    [921, 999],
    [999, 921],
  ])('at %d after %d', (ofSecond, waitMs) => {
    expect(untilTimelyMs(1_790_000_000_000 + ofSecond)).toBe(waitMs);
  });
});

const ref = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  namespace: 'shop',
  name: 'meshlift-orders',
};
const at = '2026-11-30T10:00:00.000Z';
const holds = (istiodPod: string, push?: string): HeldLook => ({
  ...{ istiodPod, at },
  ...(push === undefined ? {} : { marks: { [pushAnnotation]: push } }),
});
const both = [holds('istiod-a', 'p'), holds('istiod-b', 'p')];
const seen = both.map(({ istiodPod }) => ({ istiodPod, at }));

const START_MS = 1_790_000_000_300;
const WRITTEN_MS = 1_790_000_000_940;
beforeEach(() => {
  jest.useFakeTimers({ now: START_MS });
});
afterEach(() => {
  jest.useRealTimers();
});

const pass = (ms: number): Promise<void> => new Promise((ring) => setTimeout(ring, ms));

/** Each timer once nothing else is left to do. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const state = { isDone: false };
  const done = work.finally(() => {
    state.isDone = true;
  });
  while (!state.isDone) await jest.advanceTimersToNextTimerAsync();
  return await done;
}

interface World {
  readonly looks: () => readonly HeldLook[];
  /** Of an answer of istiod, and of a write. */
  readonly takesMs?: number;
  readonly result?: AppliedObject['result'];
  readonly push?: string | null;
  readonly isUnreachable?: boolean;
  readonly isHung?: boolean;
  /** Of timers. */
  readonly lateMs?: number;
}

async function written(world: World) {
  const { looks, takesMs = 20, result = 'changed', push = 'p', isUnreachable = false, isHung = false } = world;
  const asked: (number | undefined)[] = [];
  const mesh = {
    meetIstiods: async () => {
      await pass(isHung ? 20_000 : takesMs);
      if (isUnreachable) throw new Error('refused');
    },
    readHeld: async (_: unknown, since?: number) => {
      asked.push(since);
      await pass(takesMs);
      return looks();
    },
  } as Partial<MeshPort> as MeshPort;
  let wroteAt = 0;
  const write = async (): Promise<readonly AppliedObject[]> => {
    wroteAt = Date.now();
    await pass(takesMs);
    return [{ ref, result }];
  };
  const answer = await inTime(writeInTime(mesh, push, write, (ms) => pass(ms + (world.lateMs ?? 0))));
  return { answer, asked, waitedMs: wroteAt - START_MS };
}

test('what every istiod holds before the second ends was seen, by a look from after the write', async () => {
  const { answer, asked, waitedMs } = await written({ looks: () => both });
  expect({ answer, waitedMs }).toEqual({ answer: { refs: [ref], seen }, waitedMs: 620 });
  expect(asked).toEqual([WRITTEN_MS]);
});

test('what was removed is seen where no istiod holds it', async () => {
  const { answer } = await written({ looks: () => [holds('istiod-a'), holds('istiod-b')], push: null });
  expect(answer).toEqual({ refs: [ref], seen });
});

test.each<[string, number, World]>([
  ['one istiod holds what was there before', 620, { looks: () => [holds('istiod-a', 'p'), holds('istiod-b', 'o')] }],
  ['one still holds what was removed', 620, { looks: () => [holds('istiod-a'), holds('istiod-b', 'o')], push: null }],
  ['the second ended before the answer came', 620, { looks: () => both, takesMs: 50 }],
  ['the second ended before it was written', 620, { looks: () => both, takesMs: 90 }],
  ['the timer was late', 720, { looks: () => both, lateMs: 100 }],
  ['all stood so before, which nobody pushes', 620, { looks: () => both, result: 'unchanged' }],
  [
    'the look fails',
    620,
    {
      looks: () => {
        throw new Error('reset');
      },
    },
  ],
  ['an istiod cannot be reached, and it was written at once', 20, { looks: () => both, isUnreachable: true }],
  ['an istiod does not answer, and it was written a second later', 1_000, { looks: () => both, isHung: true }],
])('nothing was seen where %s', async (_, waited, world) => {
  const { answer, waitedMs } = await written(world);
  expect({ answer, waitedMs }).toEqual({ answer: { refs: [ref] }, waitedMs: waited });
});
