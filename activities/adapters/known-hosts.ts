/** known_hosts lines as OpenSSH's sshd(8) describes them: plain, `[host]:port`, wildcard, negated and hashed names, `@revoked`. */
import { createHmac } from 'node:crypto';

export interface KnownKeys {
  /** Base64 of the keys that are known for this host. */
  readonly trusted: readonly string[];
  readonly revoked: readonly string[];
  /** Key types of the trusted ones, to ask the server for those. */
  readonly types: readonly string[];
}

/** What the lines say of one host and port; comments, broken lines and certificate authorities count for nothing. */
export function findKnownKeys(lines: string, address: string, port: number): KnownKeys {
  const trusted: string[] = [];
  const revoked: string[] = [];
  const types = new Set<string>();
  for (const line of lines.split(/\r?\n/)) {
    const fields = line.trim().split(/\s+/);
    const marker = fields[0]?.startsWith('@') === true ? fields.shift() : undefined;
    const [names, type, key] = fields;
    if (names === undefined || type === undefined || key === undefined || names.startsWith('#')) continue;
    if (marker === '@cert-authority' || !matchesName(names, address, port)) continue;
    if (marker === '@revoked') revoked.push(key);
    else {
      trusted.push(key);
      types.add(type);
    }
  }
  return { trusted, revoked, types: [...types] };
}

function matchesName(names: string, address: string, port: number): boolean {
  const name = port === 22 ? address.toLowerCase() : `[${address.toLowerCase()}]:${port}`;
  if (names.startsWith('|1|')) return matchesHashed(names, name);
  const patterns = names.toLowerCase().split(',');
  const isNegated = patterns.some((pattern) => pattern.startsWith('!') && matchesPattern(pattern.slice(1), name));
  return !isNegated && patterns.some((pattern) => !pattern.startsWith('!') && matchesPattern(pattern, name));
}

function matchesHashed(hashed: string, name: string): boolean {
  const [, , salt, hash] = hashed.split('|');
  if (salt === undefined || hash === undefined) return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash;
}

/** `*` and `?` as in a shell. Only the last `*` is ever tried again, so a hostile pattern costs no more than its length. */
function matchesPattern(pattern: string, name: string): boolean {
  let [at, position] = [0, 0];
  let star: { readonly at: number; position: number } | undefined;
  while (position < name.length) {
    if (pattern[at] === '*') {
      star = { at, position };
      at += 1;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[position])) {
      at += 1;
      position += 1;
    } else if (star) {
      star.position += 1;
      [at, position] = [star.at + 1, star.position];
    } else return false;
  }
  return /^\**$/.test(pattern.slice(at));
}
