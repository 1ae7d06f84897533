/** Meshlift's accounts as a cluster's admin deploys them: tests run its processes with those rights, never with an admin's. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type SandboxEnv } from '../../demo/sandbox-client.ts';
import { command } from './sandbox.ts';

const root = join(import.meta.dirname, '..', '..');
const NAMESPACES = ['shop', 'bank'];

export interface Deployed {
  /** Kubeconfigs of the two accounts. */
  readonly worker: string;
  readonly api: string;
}

/** Applies deploy/, binds the worker's account, and writes both kubeconfigs. Safe to repeat, also at once. */
export async function deployed(env: SandboxEnv, directory: string): Promise<Deployed> {
  const apply = ['apply', '--server-side', '--force-conflicts'];
  await command('kubectl', ...apply, '-k', join(root, 'deploy'));
  const bindings = join(directory, 'bindings.json');
  writeFileSync(bindings, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: NAMESPACES.map(machinesBinding) }));
  await command('kubectl', ...apply, '-f', bindings);
  const [worker, api] = await Promise.all([
    kubeconfigOf(env, 'meshlift', directory),
    kubeconfigOf(env, 'meshlift-api', directory),
  ]);
  return { worker, api };
}

/** What lets the worker's account manage machines of a namespace. */
export const machinesBinding = (namespace: string) => binding(namespace, 'meshlift-machines');
/** And move their workloads to pods. */
export const migrationsBinding = (namespace: string) => binding(namespace, 'meshlift-migrations');
/** And make the Deployments that take over. */
export const manifestsBinding = (namespace: string) => binding(namespace, 'meshlift-manifests');

/** And guard them by the selector of their Service. */
export const selectorsBinding = (namespace: string) => binding(namespace, 'meshlift-selectors');

const binding = (namespace: string, role: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: role, namespace },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
  subjects: [{ kind: 'ServiceAccount', name: 'meshlift', namespace: 'meshlift-system' }],
});

/** The sandbox's kubeconfig with the account's own token in place of the admin's credentials. */
export async function kubeconfigOf(
  env: SandboxEnv,
  account: string,
  directory: string,
  namespace = 'meshlift-system',
): Promise<string> {
  const path = join(directory, `kubeconfig-${account}`);
  const token = await command('kubectl', '-n', namespace, 'create', 'token', account, '--duration', '3h');
  writeFileSync(path, readFileSync(env.kubeconfig), { mode: 0o600 });
  const config = ['config', '--kubeconfig', path];
  await command('kubectl', ...config, 'set-credentials', account, `--token=${token.trim()}`);
  await command('kubectl', ...config, 'set-context', '--current', `--user=${account}`);
  return path;
}
