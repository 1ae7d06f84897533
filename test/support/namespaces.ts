/** Namespaces of a test's own, with istiod's root certificate in them, removed after it. */
import { randomBytes } from 'node:crypto';

import { command } from './sandbox.ts';

export interface TestNamespace {
  readonly name: string;
  readonly remove: () => Promise<void>;
}

export async function testNamespace(prefix: string, labels: readonly string[] = []): Promise<TestNamespace> {
  const name = `${prefix}-${randomBytes(3).toString('hex')}`;
  await command('kubectl', 'create', 'namespace', name);
  if (labels.length > 0) await command('kubectl', 'label', 'namespace', name, ...labels);
  await command(
    'kubectl',
    ...['wait', '--namespace', name, '--for=create', '--timeout=60s', 'configmap/istio-ca-root-cert'],
  );
  await command('kubectl', 'wait', '--namespace', name, '--for=create', '--timeout=60s', 'serviceaccount/default');
  return {
    name,
    remove: async () => {
      await command('kubectl', 'delete', 'namespace', name, '--wait=false');
    },
  };
}
