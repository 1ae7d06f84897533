/** The version of a machine as an entity tag, both ways. Pure. */
import type { Machine } from './schemas/machine.ts';

export function etagOf({ version }: Pick<Machine, 'version'>): string {
  return `"${version}"`;
}

/** `If-Match` has passed its schema; `*` and its absence take any version. */
export function versionOf(ifMatch: string | undefined): { readonly ifVersion?: number } {
  return ifMatch === undefined || ifMatch === '*' ? {} : { ifVersion: Number(ifMatch.slice(1, -1)) };
}
