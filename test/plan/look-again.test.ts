import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { ActivityFailure, ApplicationFailure, CancelledFailure, TimeoutFailure } from '@temporalio/common';

import { lookAgain } from '../../workflows/look-again.ts';

const totalMs = 120_000;
const ended = (cause?: Error) => new ActivityFailure('ended', 'verifyConnected', '1', 'TIMEOUT', undefined, cause);
const timedOut = (cause?: Error) =>
  ended(Object.assign(new TimeoutFailure('timed out', undefined, 'SCHEDULE_TO_CLOSE'), { cause }));
const why = ApplicationFailure.retryable('not connected', 'ProxyNotConnected');
const heartbeat = new TimeoutFailure('no heartbeat', undefined, 'HEARTBEAT');

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Fails once after `tookMs` with `error`, then sees what it looks for. */
function looks(error: Error, tookMs: number) {
  let count = 0;
  const look = () => {
    count += 1;
    if (count > 1) return Promise.resolve('seen');
    jest.setSystemTime(Date.now() + tookMs);
    return Promise.reject(error);
  };
  return { look, count: () => count };
}

test.each([
  ['no attempt said why', timedOut(), totalMs],
  ['its worker died in the attempt', timedOut(heartbeat), totalMs],
  ['it was heard of long after its end', timedOut(why), totalMs + 60_000],
])('looks once more where a wait is over and %s', async (_title, error, tookMs) => {
  const { look, count } = looks(error, tookMs);
  await expect(lookAgain(totalMs, look)).resolves.toBe('seen');
  expect(count()).toBe(2);
});

test('the last look may be another one, with the time that it takes', async () => {
  const { look, count } = looks(timedOut(), totalMs);
  await expect(lookAgain(totalMs, look, () => Promise.resolve('seen last'))).resolves.toBe('seen last');
  expect(count()).toBe(1);
});

test.each([
  ['an attempt said why', timedOut(why), totalMs],
  ['the failure is for good', ended(ApplicationFailure.nonRetryable('wrong key', 'HostKeyMismatch')), 1_000],
  ['it is cancelled', ended(new CancelledFailure('asked')), 1_000],
  ['it is a bug', new TypeError('undefined'), 1_000],
])('does not look again where %s', async (_title, error, tookMs) => {
  const { look, count } = looks(error, tookMs);
  await expect(lookAgain(totalMs, look)).rejects.toBe(error);
  expect(count()).toBe(1);
});
