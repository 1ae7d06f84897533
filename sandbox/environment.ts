/** The lines that `env` prints: everything a client, Meshlift or a person at a shell, needs to reach the sandbox. */
import { join } from 'node:path';

import { istio, paths, ports, temporalNamespace } from './layout.ts';
import { goBuild } from './parts/go-builds.ts';
import { readState } from './state.ts';
import { temporalAddress } from './temporal.ts';

/** Export lines for a POSIX shell. */
export async function environment(): Promise<string[]> {
  const state = readState();
  if (state === undefined) throw new Error('The sandbox is not up; run: npm run sandbox -- up');
  const tools = await Promise.all([goBuild('kubernetes'), goBuild('istio'), goBuild('temporal')]);
  const machines = state.machines.map(({ name, address, namespace }) => ({ name, address, namespace }));
  const values = {
    KUBECONFIG: paths.kubeconfig,
    MESHLIFT_API: `http://127.0.0.1:${ports.meshliftApi}`,
    MESHLIFT_ISTIO_NAMESPACE: istio.namespace,
    MESHLIFT_PACKAGES: paths.packages,
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: temporalNamespace,
    SANDBOX_SSH_KEY: paths.sshKey,
    SANDBOX_KNOWN_HOSTS: paths.knownHosts,
    SANDBOX_MACHINES: JSON.stringify(machines),
  };
  return [
    ...Object.entries(values).map(([name, value]) => `export ${name}='${value}'`),
    `export PATH='${tools.map((folder) => join(folder)).join(':')}':"$PATH"`,
  ];
}
