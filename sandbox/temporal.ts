/** Temporal's dev server with its UI, on loopback, its SQLite file in the run folder. The worker makes namespace and search attributes. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './exec.ts';
import { ports, RUN } from './layout.ts';
import { goBuild } from './parts/go-builds.ts';
import { start, waitUntilReady } from './processes.ts';

export const temporalAddress = `127.0.0.1:${ports.temporal}`;
export const temporalUi = `http://127.0.0.1:${ports.temporalUi}`;

export async function startTemporal(): Promise<void> {
  const binary = join(await goBuild('temporal'), 'temporal');
  const home = join(RUN, 'temporal');
  mkdirSync(home, { recursive: true });
  const args = [
    ...[
      'server',
      'start-dev',
      '--ip',
      '127.0.0.1',
      '--port',
      String(ports.temporal),
      '--ui-port',
      String(ports.temporalUi),
    ],
    ...[
      '--db-filename',
      join(home, 'temporal.db'),
      '--log-level',
      'warn',
      '--disable-config-file',
      '--disable-config-env',
    ],
  ];
  const pid = start({ name: 'temporal', file: binary, args, env: { HOME: home } });
  await waitUntilReady({ name: 'temporal', pid }, 60_000, async () => {
    const health = await run(binary, ['operator', 'cluster', 'health', '--address', temporalAddress], {
      env: { HOME: home },
    });
    return health.stdout.includes('SERVING');
  });
}
