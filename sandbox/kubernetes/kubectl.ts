/** Talks to the cluster as its administrator, by kubectl; objects go in by server-side apply under the sandbox's field manager. */
import { join } from 'node:path';

import { run } from '../exec.ts';
import { paths, RUN } from '../layout.ts';
import { goBuild } from '../parts/go-builds.ts';

export type KubernetesObject = Readonly<Record<string, unknown>>;

/** Runs kubectl to its end and answers its standard output. */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const binary = join(await goBuild('kubernetes'), 'kubectl');
  const env = { KUBECONFIG: paths.kubeconfig, KUBECACHEDIR: join(RUN, 'kubectl-cache') };
  return (await run(binary, args, input === undefined ? { env } : { env, input })).stdout;
}

/** Applies objects, or a manifest's text. */
export async function apply(manifest: string | readonly KubernetesObject[]): Promise<void> {
  const text =
    typeof manifest === 'string' ? manifest : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifest });
  await kubectl(['apply', '--server-side', '--force-conflicts', '--field-manager=sandbox', '-f', '-'], text);
}

/** Waits until the deployment has all its pods available. */
export async function waitForDeployment(namespace: string, name: string, timeoutSeconds: number): Promise<void> {
  await kubectl(['rollout', 'status', `deployment/${name}`, '-n', namespace, `--timeout=${timeoutSeconds}s`]);
}
