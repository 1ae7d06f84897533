/** The lines that `env` prints: everything a client, Meshlift or a person at a shell, needs to reach the sandbox. */
import { join } from 'node:path';

import { auditLog } from './kubernetes/audit.ts';
import { ingressAddress, istio, jumpHost, loginUser, paths, ports, temporalNamespace } from './layout.ts';
import { hostKeyOf } from './machines/ssh-keys.ts';
import { goBuild } from './parts/go-builds.ts';
import { prometheusUrl } from './prometheus.ts';
import { readState } from './state.ts';
import { temporalAddress, temporalUi } from './temporal.ts';

/** Export lines for a POSIX shell. */
export async function environment(): Promise<string[]> {
  const state = readState();
  if (state === undefined) throw new Error('The sandbox is not up; run: npm run sandbox -- up');
  const tools = await Promise.all([goBuild('kubernetes'), goBuild('istio'), goBuild('temporal')]);
  const machines = state.machines
    .filter(({ name }) => name !== jumpHost.name)
    .map(({ name, address, namespace, network, apps }) => ({
      ...{ name, address, namespace, apps },
      ...(network === 'inner' ? wayToInner() : {}),
    }));
  const values = {
    KUBECONFIG: paths.kubeconfig,
    // Nobody but this machine's root reaches the sandbox.
    MESHLIFT_AUTH: 'off',
    MESHLIFT_API: `http://127.0.0.1:${ports.meshliftApi}`,
    MESHLIFT_ISTIO_NAMESPACE: istio.namespace,
    MESHLIFT_PACKAGES: paths.packages,
    MESHLIFT_PROMETHEUS: prometheusUrl,
    MESHLIFT_TEMPORAL_UI: temporalUi,
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: temporalNamespace,
    SANDBOX_SSH_KEY: paths.sshKey,
    SANDBOX_KNOWN_HOSTS: paths.knownHosts,
    SANDBOX_INGRESS: `http://${ingressAddress}`,
    SANDBOX_AUDIT_LOG: auditLog,
    SANDBOX_MACHINES: JSON.stringify(machines),
  };
  return [
    ...Object.entries(values).map(([name, value]) => `export ${name}='${value}'`),
    `export PATH='${tools.map((folder) => join(folder)).join(':')}':"$PATH"`,
  ];
}

/** Nothing while the jump host is still being made, or gone. */
function wayToInner() {
  const hostKey = hostKeyOf(jumpHost.address);
  return hostKey === undefined ? {} : { jump: { address: jumpHost.address, user: loginUser, hostKey } };
}
