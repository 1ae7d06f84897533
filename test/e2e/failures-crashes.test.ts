/** kill -9 of the worker at one point of every activity; all points run in the matrix. */
import { beforeAll, describe, expect, test } from '@jest/globals';

import { crashClaims } from '../support/crash-claims.ts';
import { type Crashed, crashEverywhere } from '../support/crashes.ts';

describe('kill -9 of the worker at a point of every activity', () => {
  let crashed: Crashed;

  beforeAll(async () => {
    crashed = await crashEverywhere(0);
  }, 900_000);

  test.each(crashClaims)('$title', ({ sides }) => {
    const { found, wanted } = sides(crashed);
    expect(found).toEqual(wanted);
  });
});
