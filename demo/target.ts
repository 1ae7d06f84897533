/** The Deployment that takes a machine's workload over: the same application, as the image that other pods of the sandbox run. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { sandboxEnv } from './sandbox-client.ts';

const execute = promisify(execFile);

/** What is wrong with it. */
export interface Variant {
  readonly image?: string;
  /** Default: Never, the sandbox has no registry. */
  readonly pullPolicy?: 'IfNotPresent';
  /** More arguments of the application. */
  readonly faults?: readonly string[];
  readonly readinessPort?: number;
  readonly cpus?: number;
}

interface TargetManifest {
  readonly apiVersion: 'apps/v1';
  readonly kind: 'Deployment';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
}

/** Applies it with no pods yet. */
export async function deployTarget(namespace: string, name: string, variant: Variant = {}): Promise<void> {
  await applyObjects([await targetOf(namespace, name, variant)]);
}

/** Service account and label `app` have its name; it asks for no pods. */
export async function targetOf(namespace: string, name: string, variant: Variant = {}): Promise<TargetManifest> {
  const { image, pullPolicy = 'Never', faults = [], readinessPort = 8080, cpus } = variant;
  const path = '-o=jsonpath={.spec.template.spec.containers[0].image}';
  const labels = { app: name, version: 'v2' };
  const container = {
    name: 'app',
    image: image ?? (await kubectl('-n', 'shop', 'get', 'deployment', 'frontend', path)),
    imagePullPolicy: pullPolicy,
    args: ['serve', '--listen', ':8080', '--grpc', ':9090', '--tcp', ':7070', ...faults],
    ports: [
      { name: 'http', containerPort: 8080 },
      { name: 'grpc', containerPort: 9090 },
      { name: 'tcp', containerPort: 7070 },
    ],
    readinessProbe: { httpGet: { path: '/healthz', port: readinessPort }, periodSeconds: 1 },
    ...(cpus === undefined ? {} : { resources: { requests: { cpu: String(cpus) } } }),
  };
  const template = { metadata: { labels }, spec: { serviceAccountName: name, containers: [container] } };
  const spec = { replicas: 0, selector: { matchLabels: labels }, template };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec };
}

export async function applyObjects(items: readonly object[]): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'meshlift-objects-'));
  try {
    const file = join(scratch, 'objects.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await kubectl('apply', '--server-side', '--force-conflicts', '-f', file);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function kubectl(...args: string[]): Promise<string> {
  const { exports } = await sandboxEnv();
  const { stdout } = await execute('kubectl', args, { env: { ...process.env, ...exports } });
  return stdout;
}
