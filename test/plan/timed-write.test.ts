/** Writes that their first push proves: when they are made, and what was seen in time. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import type { AppliedObject } from '../../activities/ports/cluster-port.ts';
import type { HeldLook, MeshPort } from '../../activities/ports/mesh-port.ts';
import { pushAnnotation } from '../../activities/render/cutover-routes.ts';
import { untilTimelyMs, writeInTime } from '../../activities/timed-write.ts';

describe('a write is in time, by the milliseconds of a second', () => {
  test.each([
    [0, 910],
    [500, 410],
    [909, 1],
    [910, 0],
    [911, 999],
    [999, 911],
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
const WRITTEN_MS = 1_790_000_000_930;
let now = START_MS;
const clock = jest.spyOn(Date, 'now');
beforeEach(() => {
  now = START_MS;
  clock.mockImplementation(() => now);
});
afterEach(() => {
  clock.mockReset();
});

interface World {
  readonly looks: () => readonly HeldLook[];
  readonly takesMs?: number;
  readonly result?: AppliedObject['result'];
  readonly push?: string | null;
  readonly isUnreachable?: boolean;
}

async function written({ looks, takesMs = 20, result = 'changed', push = 'p', isUnreachable = false }: World) {
  const asked: (number | undefined)[] = [];
  const mesh = {
    meetIstiods: () => (isUnreachable ? Promise.reject(new Error('refused')) : Promise.resolve()),
    readHeld: (_: unknown, since?: number) => {
      asked.push(since);
      now += takesMs;
      return Promise.resolve().then(looks);
    },
  } as Partial<MeshPort> as MeshPort;
  const write = (): Promise<readonly AppliedObject[]> => {
    now += takesMs;
    return Promise.resolve([{ ref, result }]);
  };
  const sleep = (ms: number): Promise<void> => {
    now += ms;
    return Promise.resolve();
  };
  const answer = await writeInTime(mesh, push, write, sleep);
  return { answer, asked };
}

test('what every istiod holds before the second ends was seen, by a look from after the write', async () => {
  const { answer, asked } = await written({ looks: () => both });
  expect(answer).toEqual({ refs: [ref], seen });
  expect(asked).toEqual([WRITTEN_MS]);
});

test('what was removed is seen where no istiod holds it', async () => {
  const { answer } = await written({ looks: () => [holds('istiod-a'), holds('istiod-b')], push: null });
  expect(answer).toEqual({ refs: [ref], seen });
});

test.each<[string, World]>([
  ['one istiod holds what was there before', { looks: () => [holds('istiod-a', 'p'), holds('istiod-b', 'o')] }],
  ['one istiod still holds what was removed', { looks: () => [holds('istiod-a'), holds('istiod-b', 'o')], push: null }],
  ['the second has ended before the answer came', { looks: () => both, takesMs: 50 }],
  ['all stood so before, which nobody pushes', { looks: () => both, result: 'unchanged' }],
  [
    'the look fails',
    {
      looks: () => {
        throw new Error('reset');
      },
    },
  ],
  ['an istiod cannot be reached, and it was written at once', { looks: () => both, isUnreachable: true }],
])('nothing was seen where %s', async (_, world) => {
  const { answer } = await written(world);
  expect(answer).toEqual({ refs: [ref] });
});
