/** What authentication adds to a GET, measured apart: the same API with the cluster's TokenReview and SubjectAccessReview. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { isUp, sandboxEnv } from '../../demo/sandbox-client.ts';
import { percentile } from '../statistics.ts';
import type { ApiPlatform } from './platform.ts';
import { timed } from './timed.ts';

const execute = promisify(execFile);
const perWindow = 100;

/** An account that may read machines of the namespace that the machine is in. */
const namespace = 'bench';
const metadata = { name: 'bench-reader', namespace };
const objects = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
  {
    ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata },
    rules: [{ apiGroups: ['meshlift.dev'], resources: ['machines'], verbs: ['get'] }],
  },
  {
    ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata },
    subjects: [{ kind: 'ServiceAccount', ...metadata }],
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
  },
];

/** Latencies with and without, in milliseconds; a message where no sandbox is up. */
export async function measureAuth(platform: ApiPlatform, rounds: number): Promise<unknown> {
  if (!(await isUp())) return 'not measured: no sandbox is up (npm run sandbox -- up)';
  const { exports } = await sandboxEnv();
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    (await execute('kubectl', args, { env: { ...process.env, ...exports } })).stdout.trim();
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-bench-'));
  try {
    writeFileSync(join(scratch, 'objects.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    await kubectl('apply', '--filename', join(scratch, 'objects.json'));
    const token = await kubectl('create', 'token', metadata.name, '--namespace', namespace, '--audience', 'meshlift');
    const kubeconfig = exports['KUBECONFIG'] ?? '';
    const withAuth = await platform.startApi('api-with-auth', { KUBECONFIG: kubeconfig, MESHLIFT_AUTH: 'cluster' });
    const took: { on: number[]; off: number[] } = { on: [], off: [] };
    const path = '/v1/machines/bench/bench-1';
    for (let round = 0; round <= rounds; round++) {
      const on: number[] = [];
      const off: number[] = [];
      for (let left = perWindow; left > 0; left--) {
        on.push((await timed(`${withAuth}${path}`, 200, undefined, { authorization: `Bearer ${token}` })).tookMs);
        off.push((await timed(`${platform.product}${path}`, 200)).tookMs);
      }
      if (round > 0) {
        took.on.push(...on);
        took.off.push(...off);
      }
    }
    const of = (values: readonly number[]) => ({
      p50Ms: Math.round(percentile(values, 0.5) * 100) / 100,
      p99Ms: Math.round(percentile(values, 0.99) * 100) / 100,
    });
    return { getWithAuth: of(took.on), getWithout: of(took.off) };
  } finally {
    await kubectl('delete', 'namespace', namespace, '--ignore-not-found', '--wait=false');
    rmSync(scratch, { recursive: true, force: true });
  }
}
