/** A cancel at every step that can be cancelled. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { runAtOnce } from '../support/at-once.ts';
import { type Cancelled, type CancelRow, cancelRows, CancelRows } from '../support/cancels.ts';

const AT_ONCE = 3;
const rows = new CancelRows();
let endOf: (row: CancelRow) => Cancelled;

beforeAll(async () => {
  await rows.start();
  endOf = await runAtOnce(cancelRows, async (row) => await rows.run(row), AT_ONCE);
}, 1_800_000);

afterAll(async () => {
  await rows.stop();
}, 60_000);

describe('a cancel', () => {
  test.each(cancelRows)('of %s ends as asked, and both sides are as they were', (row) => {
    const { operation, ...after } = endOf(row);
    expect(`${operation.phase}: ${operation.message ?? ''}`).toMatch(/^Cancelled: /);
    expect(after).toEqual({ phase: row.startsWith('onboard') ? 'Failed' : 'InMesh', differs: [], left: [] });
  });
});
