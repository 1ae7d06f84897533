/** containerd's own client, on the sandbox's socket. */
import { join } from 'node:path';

import { run } from '../exec.ts';
import { RUN } from '../layout.ts';
import { nodeToolsFolder } from '../parts/debian.ts';

export const containerdSocket = join(RUN, 'containerd', 'containerd.sock');

/** Runs containerd's own client in the namespace that the kubelet uses. */
export async function ctr(args: readonly string[]): Promise<string> {
  const tools = await nodeToolsFolder();
  return (await run(join(tools, 'bin', 'ctr'), ['--address', containerdSocket, '--namespace', 'k8s.io', ...args]))
    .stdout;
}
