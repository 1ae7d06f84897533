/** What the plan of a drain says of the lease and the gap. */
import { expect, test } from '@jest/globals';

import { drainTerms } from '../../workflows/plan/drain-terms.ts';
import { foreseeDrain } from '../../workflows/plan/foresee-drain.ts';

const terms = drainTerms({ deadlineSeconds: 10 });

test.each([
  ['keeps every floor', { kind: 'Granted', disrupts: [] } as const, { status: 'True', category: 'Critical' }],
  [
    'predicts the gap of an allowed disruption',
    { kind: 'Granted', disrupts: ['orders'] } as const,
    { status: 'False', category: 'Warning', message: expect.stringMatching(/orders .* 8 to 40 s/) },
  ],
  [
    'blocks where it is the only endpoint, and predicts the gap',
    { kind: 'SoleEndpoint', message: 'only one' } as const,
    { status: 'False', category: 'Critical', message: expect.stringMatching(/only one.* 8 to 40 s/) },
  ],
  [
    'waits where others are needed first',
    { kind: 'Held', message: 'orders would keep 1 of 2', holders: [] } as const,
    { status: 'False', category: 'Warning', reason: 'Held' },
  ],
  [
    'blocks where nobody can tell',
    { type: 'EvidenceUnavailable', message: 'istiod is silent' },
    { status: 'Unknown', category: 'Critical', reason: 'EvidenceUnavailable' },
  ],
])('%s', (_, verdict, condition) => {
  expect(foreseeDrain(verdict, terms, 'shop/orders-1', 'now')).toMatchObject([{ type: 'FloorKept', ...condition }]);
});

test('evidence that is waived blocks nothing', () => {
  const waived = drainTerms({ allowUnproven: true });
  const found = foreseeDrain({ type: 'EvidenceUnavailable', message: 'silent' }, waived, 'shop/orders-1', 'now');
  expect(found).toMatchObject([{ category: 'Warning' }]);
});
