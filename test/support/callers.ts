/** Callers of the API as the cluster knows them: service accounts, with Roles on machines.meshlift.dev. */
import { applyObjects } from '../../demo/target.ts';
import { command } from './sandbox.ts';

interface Caller {
  readonly name: string;
  /** Its own namespace. */
  readonly namespace: string;
  readonly verbs: readonly string[];
  /** Where it may; its own namespace unless told otherwise. */
  readonly places?: readonly string[];
}

const rbac = 'rbac.authorization.k8s.io';

/** Makes the accounts and binds them. They go with their namespaces. */
export async function makeCallers(callers: readonly Caller[]): Promise<void> {
  const items = callers.flatMap(({ name, namespace, verbs, places = [namespace] }) => [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    ...places.flatMap((place) => [
      {
        apiVersion: `${rbac}/v1`,
        kind: 'Role',
        metadata: { name, namespace: place },
        rules: [{ apiGroups: ['meshlift.dev'], resources: ['machines'], verbs }],
      },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata: { name, namespace: place },
        roleRef: { apiGroup: rbac, kind: 'Role', name },
        subjects: [{ kind: 'ServiceAccount', name, namespace }],
      },
    ]),
  ]);
  await applyObjects(items);
}

/** A token of the account, for the audience that Meshlift takes unless told otherwise. */
export async function tokenOf(namespace: string, name: string, audience = 'meshlift'): Promise<string> {
  const token = await command('kubectl', '-n', namespace, 'create', 'token', name, `--audience=${audience}`);
  return token.trim();
}
