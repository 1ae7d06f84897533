/** kill -9 of the worker before, inside and after every activity. */
import { beforeAll, describe, expect, test } from '@jest/globals';

import { crashClaims } from '../support/crash-claims.ts';
import { type Crashed, crashEverywhere } from '../support/crashes.ts';

describe.each([0, 1, 2])('kill -9 of the worker at a point of every activity, %i ways further', (shift) => {
  let crashed: Crashed;

  beforeAll(async () => {
    crashed = await crashEverywhere(shift);
  }, 1_500_000);

  test.each(crashClaims)('$title', ({ sides }) => {
    const { found, wanted } = sides(crashed);
    expect(found).toEqual(wanted);
  });
});
