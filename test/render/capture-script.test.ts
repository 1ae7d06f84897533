import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { renderCaptureScript } from '../../activities/render/capture-script.ts';
import { renderClosedUnit, renderDropIn } from '../../activities/render/systemd-unit.ts';

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'render', name), 'utf8');

test('the drop-in is the golden file', () => {
  expect(renderDropIn()).toBe(golden('meshlift.conf.golden'));
});

test('the unit that closes an enforced machine at boot is the golden file', () => {
  expect(renderClosedUnit()).toBe(golden('meshlift-closed.service.golden'));
});

test('the capture script is the golden file', () => {
  expect(renderCaptureScript()).toBe(golden('capture.golden'));
});
