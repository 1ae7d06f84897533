import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { type Patience, withLock } from '../../sandbox/lock.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  path = join(folder, 'run', 'lock');
  mkdirSync(join(folder, 'run'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const atOnce: Patience = () => 0;

const readHolder = (): unknown => JSON.parse(readFileSync(path, 'utf8'));

test('names the holder while the work runs and nothing after', async () => {
  const holder = await withLock('up', atOnce, async () => await Promise.resolve(readHolder()), path);
  expect(holder).toMatchObject({ pid: process.pid, verb: 'up' });
  expect(existsSync(join(folder, 'run'))).toBe(false);
});

test('frees the lock when the work fails', async () => {
  const fail = async (): Promise<never> => await Promise.reject(new Error('no etcd'));
  await expect(withLock('up', atOnce, fail, path)).rejects.toThrow('no etcd');
  await expect(withLock('up', atOnce, async () => await Promise.resolve('worked'), path)).resolves.toBe('worked');
});

test('refuses while another holds it, naming the process and its folder', async () => {
  const second = await withLock(
    'up',
    atOnce,
    async () => await withLock('down', atOnce, unreachable, path).catch(String),
    path,
  );
  expect(second).toMatch(new RegExp(`held by process ${process.pid} \\("up", started from /.+\\); wait until it ends`));
});

test('waits for the lock as long as it has patience with who holds it', async () => {
  const first = withLock(
    'machine add',
    atOnce,
    async () => await new Promise((resolve) => setTimeout(resolve, 300)),
    path,
  );
  const behindMachines: Patience = (holder) => (holder === 'up' ? 0 : 5000);
  const second = withLock('up', behindMachines, async () => await Promise.resolve('worked'), path);
  await expect(Promise.all([first, second])).resolves.toEqual([undefined, 'worked']);
});

test('takes the lock that a killed process left', async () => {
  writeFileSync(path, JSON.stringify({ pid: 1, checkout: '/src/meshlift', verb: 'up' }));
  await expect(withLock('up', atOnce, async () => await Promise.resolve('worked'), path)).resolves.toBe('worked');
});

async function unreachable(): Promise<never> {
  return await Promise.reject(new Error('two held the lock at once'));
}
