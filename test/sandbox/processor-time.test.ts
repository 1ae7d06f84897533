import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { weighAsHost } from '../../sandbox/processor-time.ts';

let group: string;
beforeEach(() => {
  group = mkdtempSync(join(tmpdir(), 'meshlift-group-'));
});
afterEach(() => {
  rmSync(group, { recursive: true });
});

describe('a group that stands for a host of its own', () => {
  test.each([
    ['cgroup v1', 'cpu.shares', '10240'],
    ['cgroup v2', 'cpu.weight', '1000'],
  ])('outweighs what runs beside it, on %s', (_, file, weight) => {
    writeFileSync(join(group, file), '1');
    weighAsHost(group);
    expect(readFileSync(join(group, file), 'utf8')).toBe(weight);
  });

  test('is left as it is in a hierarchy without the controller', () => {
    weighAsHost(group);
    expect(readdirSync(group)).toEqual([]);
  });
});
