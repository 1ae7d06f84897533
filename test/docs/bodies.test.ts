/** The JSON bodies that the documents tell a reader to send. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';
import { Check, Errors } from 'typebox/value';

import { OnboardMachine } from '../../api/schemas/machine.ts';

const root = join(import.meta.dirname, '..', '..');

/** What the reader's shell or the reader puts in. */
const filledIn: readonly (readonly [string, string])[] = [
  ['$ADDRESS', '192.0.2.10'],
  ['$FINGERPRINT', `SHA256:${'a'.repeat(43)}`],
  ['SHA256:...', `SHA256:${'a'.repeat(43)}`],
];

test.each(['README.md', 'docs/quickstart.md'])('every body in %s is a valid request', async (file) => {
  const text = await readFile(join(root, file), 'utf8');
  const bodies = [...text.matchAll(/^cat > \S+ <<'?EOF'?\n(\{.*?\n\})\nEOF$/gms)].map(([, body = '']) =>
    filledIn.reduce((filled, [placeholder, value]) => filled.replaceAll(placeholder, value), body),
  );
  expect(bodies).not.toEqual([]);
  for (const body of bodies) {
    const request: unknown = JSON.parse(body);
    expect(Errors(OnboardMachine, request)).toEqual([]);
    expect(Check(OnboardMachine, request)).toBe(true);
  }
});
