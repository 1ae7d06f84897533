/** The process `meshlift api`: reads its configuration, joins the adapter for access to its port, listens, and stops in order. */
import { KubeConfig } from '@kubernetes/client-node';

import { KubernetesAccess } from '../activities/adapters/kubernetes-access.ts';
import { buildApp } from './app.ts';
import { readApiConfig } from './config.ts';
import { connectTemporal } from './temporal.ts';

/** Runs until SIGTERM or SIGINT. Stops listening first, answers what it has accepted, then leaves Temporal. */
export async function runApi(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const config = readApiConfig(environment);
  const temporal = connectTemporal(config.temporal);
  const access = config.auth === 'off' ? 'off' : accessByCluster();
  const app = await buildApp({ temporal, access, config, logger: { level: 'info' } });
  try {
    const { host, port } = config.listen;
    const url = await app.listen({ host, port });
    const { connection, namespace } = config.temporal;
    app.log.info(
      { url, docs: `${url}/docs`, temporal: connection.address ?? 'localhost:7233', namespace, auth: config.auth },
      'meshlift api listens',
    );
    const signal = await stopSignal();
    app.log.info({ signal }, 'meshlift api stops');
  } finally {
    await app.close();
    await temporal.close();
  }
}

/** The cluster comes from the kubeconfig chain: KUBECONFIG, the home directory, or the pod's own account. */
function accessByCluster(): KubernetesAccess {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  return new KubernetesAccess(kubeConfig);
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}
