import { expect, test } from '@jest/globals';

import { etagOf, versionOf } from '../../api/etag.ts';

test('a version comes back from its entity tag', () => {
  expect(versionOf(etagOf({ version: 12 }))).toEqual({ ifVersion: 12 });
});

test.each([undefined, '*'])('If-Match %s takes any version', (ifMatch) => {
  expect(versionOf(ifMatch)).toEqual({});
});
