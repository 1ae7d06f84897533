import { expect, test } from '@jest/globals';

import { goYaml } from '../../activities/render/go-yaml.ts';

/** Each expected line was written by Go's sigs.k8s.io/yaml. */
const scalars: readonly (readonly [string | number | boolean, string])[] = [
  ['latest', 'latest'],
  ['', '""'],
  ['true', '"true"'],
  ['no', '"no"'],
  ['~', '"~"'],
  ['15020', '"15020"'],
  ['1:30', '"1:30"'],
  ['0o7', '"0o7"'],
  ['1_000', '"1_000"'],
  ['_1', '_1'],
  ['2026-01-02', '"2026-01-02"'],
  ['1.5.0', '1.5.0'],
  ['{"app":"orders"}', `'{"app":"orders"}'`],
  ["it's", "it's"],
  ["'quoted'", "'''quoted'''"],
  ['a: b', "'a: b'"],
  ['a #b', "'a #b'"],
  ['- a', "'- a'"],
  ['-a', '-a'],
  ['*', "'*'"],
  ['istiod.istio-system.svc:15012', 'istiod.istio-system.svc:15012'],
  ['tab\there', '"tab\\there"'],
  ['line1\nline2', '|-\n  line1\n  line2'],
  ['line1\nline2\n', '|\n  line1\n  line2'],
  [15020, '15020'],
  [0.00001, '1e-05'],
  [99.5, '99.5'],
  [false, 'false'],
];

test.each(scalars)('writes %j as Go does', (value, expected) => {
  expect(goYaml({ key: value })).toBe(`key: ${expected}\n`);
});

test('folds a long line at the first space after column 80', () => {
  const words = 'long words '.repeat(9).trim();
  expect(goYaml({ key: words })).toBe(`key: ${'long words '.repeat(7).trim()}\n  long words long words\n`);
});

test('sorts letters behind other characters and numbers by value, and does not indent sequences', () => {
  const document = { b: [], ISTIO_METAJSON_LABELS: '1', ISTIO_META_X: ['a', { c: 1, b: {} }, []], p10: 1, p9: 1 };
  expect(goYaml(document)).toBe(
    'ISTIO_META_X:\n- a\n- b: {}\n  c: 1\n- []\nISTIO_METAJSON_LABELS: "1"\nb: []\np9: 1\np10: 1\n',
  );
});
