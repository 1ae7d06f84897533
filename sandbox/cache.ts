/** The cache of built and fetched parts: a part is a folder named by its key (name, version, stamp), made once, by rename. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { CACHE } from './layout.ts';

export interface Part {
  readonly name: string;
  /** Everything the content depends on: version, checksum, stamp, `digestOf` the recipe's inputs and its own source file. */
  readonly key: string;
  /** Fills the empty folder `into`. */
  readonly build: (into: string) => Promise<void>;
}

/** Twelve hexadecimal digits that stand for these texts; a recipe passes the text of its own source file as well. */
export function digestOf(...texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(text).update('\0');
  return hash.digest('hex').slice(0, 12);
}

export const partFolder = (part: Pick<Part, 'name' | 'key'>): string => join(CACHE, `${part.name}-${part.key}`);
export const isCached = (part: Pick<Part, 'name' | 'key'>): boolean => existsSync(partFolder(part));

/** Builds the part unless the cache holds it; answers its folder. A build that fails leaves nothing. */
export async function ensurePart(part: Part): Promise<string> {
  const folder = partFolder(part);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const scratch = mkdtempSync(join(CACHE, `.building-${part.name}-`));
  try {
    await part.build(scratch);
    renameSync(scratch, folder);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    // Another process was first: what it made is the same.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
