// Runs before every npm script, under whatever Node the machine has: installs the locked packages when they are missing
// or stale, then makes sure that the scripts themselves run on the pinned Node. With `platform` it says first what the machine
// lacks for the sandbox. Depends on nothing.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { preflight } from './preflight.mjs';

const PINNED_MAJOR = 'v24.';
const root = join(import.meta.dirname, '..');
const modules = join(root, 'node_modules');
const stamp = join(modules, '.meshlift-lock-sha256');
const lockDigest = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

const fail = (message) => {
  process.stderr.write(`meshlift: ${message}\n`);
  process.exit(1);
};

const pinnedNode = () => spawnSync(join(modules, '.bin', 'node'), ['-v'], { encoding: 'utf8' }).stdout?.trim() ?? '';

if (process.argv[2] === 'platform') {
  try {
    preflight();
  } catch (error) {
    fail(error.message);
  }
}
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lockDigest) {
  process.stderr.write('meshlift: installing the locked npm packages (once per checkout)\n');
  // Scripts stay off: none of the packages needs one, and ssh2's optional native add-on would be built for the wrong Node.
  const install = spawnSync('npm', ['ci', '--ignore-scripts', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (install.status !== 0) fail('npm ci failed; see its output above (is the npm registry reachable?)');
  if (!pinnedNode().startsWith(PINNED_MAJOR)) {
    fail(
      `node_modules/.bin/node is '${pinnedNode()}', wanted ${PINNED_MAJOR}x: this CPU (${process.arch}) has no pinned Node package`,
    );
  }
  writeFileSync(stamp, lockDigest);
}
