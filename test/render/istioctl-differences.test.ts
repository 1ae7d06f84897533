import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { listedDifferences } from '../support/istioctl-differences.ts';

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'istioctl-differences.md'), 'utf8');

/** Rows of the tables under each heading, header and rule left out. */
const rows = page.split(/^## /m).flatMap((part) => {
  const [section = '', ...lines] = part.split('\n');
  return lines
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) => [section, ...line.split('|').slice(1, -1)].map((cell) => cell.trim()));
});

test('docs/istioctl-differences.md lists the differences that the tests allow, and no other', () => {
  expect(rows).toEqual(
    listedDifferences.map(({ section, what, istioctl, meshlift, why }) => [section, what, istioctl, meshlift, why]),
  );
});
