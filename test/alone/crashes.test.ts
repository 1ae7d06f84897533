/** kill -9 of the worker at one point of every activity; the matrix has all of them. */
import { beforeAll, expect, test } from '@jest/globals';

import { crashClaims } from '../support/crash-claims.ts';
import { type Crashed, crashEverywhere } from '../support/crashes.ts';

let crashed: Crashed;

beforeAll(async () => {
  crashed = await crashEverywhere(0);
}, 1_500_000);

test.each(crashClaims)('$title', ({ sides }) => {
  const { found, wanted } = sides(crashed);
  expect(found).toEqual(wanted);
});
