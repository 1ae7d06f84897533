/** The namespaces, and the login that Meshlift uses on machines as the Secret it reads. */
import { readFileSync } from 'node:fs';

import { istio, paths } from '../layout.ts';
import { apply, type KubernetesObject } from '../kubernetes/kubectl.ts';

/** Meshlift's own namespace, where it looks for credentials. */
const systemNamespace = 'meshlift-system';

const namespace = (name: string, labels: Readonly<Record<string, string>> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
});

const injected = { 'istio.io/rev': istio.revision };

export async function applyNamespaces(): Promise<void> {
  await apply([namespace(systemNamespace), namespace('shop', injected), namespace('bank', injected)]);
}

export async function applySshCredentials(): Promise<void> {
  const data = { 'ssh-privatekey': readFileSync(paths.sshKey).toString('base64') };
  await apply([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/ssh-auth',
      metadata: { name: 'sandbox-ssh', namespace: systemNamespace },
      data,
    },
  ]);
}
