/** Fails, naming every one at once, when another program listens where the sandbox will. */
import { createServer } from 'node:net';

import { ports } from './layout.ts';

/** Meshlift's own port is not among them: `up` does not start Meshlift. */
const needed: Readonly<Record<string, number>> = {
  etcd: ports.etcd,
  'etcd peers': ports.etcdPeer,
  Temporal: ports.temporal,
  'Temporal UI': ports.temporalUi,
  Prometheus: ports.prometheus,
  'kube-controller-manager': 10257,
  'kube-scheduler': 10259,
  kubelet: 10248,
  'kube-proxy': 10256,
};

export async function requireFreePorts(): Promise<void> {
  const taken = await Promise.all(
    Object.entries(needed).map(async ([user, port]) => ((await isFree(port)) ? [] : [`${port} (for ${user})`])),
  );
  if (taken.flat().length === 0) return;
  throw new Error(
    `Ports of 127.0.0.1 that the sandbox needs are in use: ${taken.flat().join(', ')}; stop what listens there, see: ss -ltnp`,
  );
}

async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => {
      resolve(false);
    });
    probe.listen(port, '127.0.0.1', () => {
      probe.close(() => {
        resolve(true);
      });
    });
  });
}
