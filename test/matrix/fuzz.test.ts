/** Two thousand made-up requests, valid and not: every answer is one that the OpenAPI document knows, and none is a fault inside. */
import { expect, test } from '@jest/globals';

import { changingSeed, fuzz } from '../support/fuzz.ts';

test('no answer to 2,000 requests breaks the OpenAPI document', async () => {
  const { cases, findings, statuses, isReady } = await fuzz('coverage,fuzzing', 60, changingSeed);
  expect(findings).toBe('');
  expect(cases).toBeGreaterThanOrEqual(2_000);
  expect(isReady).toBe(true);
  expect(statuses['503'] ?? 0).toBeLessThan(cases / 20);
}, 900_000);
