/** Which hosts Meshlift may connect to, as the cluster's admin says it: without a HostPolicy it connects to none. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { eventually } from './eventually.ts';
import { sandboxEnv } from './sandbox-client.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..');

/** Applies the kind HostPolicy and the policies of one file; safe to repeat, also at the same time. */
export async function applyHostPolicies(file = join(root, 'demo', 'host-policy.yaml')): Promise<void> {
  const { exports } = await sandboxEnv();
  const kubectl = async (...args: string[]): Promise<unknown> =>
    await execute('kubectl', args, { env: { ...process.env, ...exports } });
  const apply = ['apply', '--server-side', '--force-conflicts', '-f'];
  await kubectl(...apply, join(root, 'deploy', 'crds', 'hostpolicy.yaml'));
  // A kind that was just made is not known to every part of the API server at once.
  await eventually('the API server takes HostPolicies', async () => {
    await kubectl(...apply, file);
    return true;
  });
}
