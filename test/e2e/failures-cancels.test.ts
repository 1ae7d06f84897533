/** A cancel at three steps that the seed picks; all of them run in the matrix. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { runAtOnce } from '../support/at-once.ts';
import { type Cancelled, type CancelRow, cancelRows, CancelRows } from '../support/cancels.ts';
import { pickSome, seed } from '../support/seed.ts';

const picked = pickSome('cancels', cancelRows, 3);
const rows = new CancelRows();
let endOf: (row: CancelRow) => Cancelled;

beforeAll(async () => {
  await rows.start();
  endOf = await runAtOnce(picked, async (row) => await rows.run(row));
}, 600_000);

afterAll(async () => {
  await rows.stop();
}, 60_000);

describe(`a cancel (seed ${seed})`, () => {
  test.each(picked)('of %s ends as asked, and both sides are as they were', (row) => {
    const { operation, ...after } = endOf(row);
    expect(`${operation.phase}: ${operation.message ?? ''}`).toMatch(/^Cancelled: /);
    expect(after).toEqual({ phase: row.startsWith('onboard') ? 'Failed' : 'InMesh', differs: [], left: [] });
  });
});
