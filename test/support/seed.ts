/** Picks among rows by a seed that changes with the commit; `MESHLIFT_TEST_SEED` repeats a run's choice. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** A tree without its history has one seed for ever. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return 'no-commit';
  }
}

export const seed = process.env['MESHLIFT_TEST_SEED'] ?? commit();

/** The same as a number of 32 bits, for generators. */
export const seedNumber = createHash('sha256').update(seed).digest().readInt32BE();

/** One of these, always the same for a seed and a purpose. */
export function pick<T>(purpose: string, among: readonly T[]): T {
  const digest = createHash('sha256').update(`${seed} ${purpose}`).digest();
  const picked = among.slice(digest.readUInt32BE() % among.length)[0];
  if (picked === undefined) throw new Error(`There is nothing to pick from for ${purpose}`);
  return picked;
}

/** As many of these, each once. */
export function pickSome<T>(purpose: string, among: readonly T[], count: number): T[] {
  if (count === 0) return [];
  const picked = pick(`${purpose} ${count}`, among);
  const others = among.filter((one) => one !== picked);
  return [picked, ...pickSome(purpose, others, count - 1)];
}
