/** The rendered files beside those of the real istioctl, for the demo's group and for one with everything that istioctl merges. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';

import { KubernetesCluster } from '../../activities/adapters/kubernetes-cluster.ts';
import { clusterActivities, type RenderMachineResult } from '../../activities/cluster.ts';
import type { ClusterFacts, ClusterPort } from '../../activities/ports/cluster-port.ts';
import type { PackagePort } from '../../activities/ports/package-port.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import {
  clusterEnvWithDifferences,
  type Differences,
  meshConfigWithDifferences,
} from '../support/istioctl-differences.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command } from '../support/sandbox.ts';

const istioNamespace = 'istio-system';
const address = '10.245.0.77';
const sshdPorts = [22, 2222];

/** What a mesh's owner may write in a revision's ConfigMap: every kind of field that the round trip through protobuf touches. */
const richMeshConfig = `
trustDomain: example.org
defaultConfig:
  concurrency: 0
  statusPort: 15120
  drain_duration: 1m30s
  terminationDrainDuration: 1500ms
  interceptionMode: REDIRECT
  meshId: mesh-1
  holdApplicationUntilProxyStarts: false
  extraStatTags: [one, two]
  configPath: ""
  gatewayTopology: {numTrustedProxies: 2}
  proxyStatsMatcher: {inclusionPrefixes: [a, b], inclusionRegexps: []}
  tracing:
    sampling: 0.001
    zipkin: {address: "zipkin.istio-system:9411"}
    customTags: {env: {literal: {value: "on"}}}
  image: {imageType: distroless}
  proxyMetadata:
    FROM_MESH: mesh
    FROM_OBJECT: mesh
    NUMBER_LIKE: "0123"
    BOOL_LIKE: "yes"
    LONG: "${'words that go on '.repeat(12)}end"
    QUOTES: it's "quoted" \\ here
    LINES: "a\\nb\\n"
    ISTIO_META_DNS_CAPTURE: "false"
`;
const richGroup = (name: string, namespace: string): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadGroup',
  metadata: {
    name,
    namespace,
    annotations: { 'proxy.istio.io/config': 'proxyMetadata: {FROM_OBJECT: object, FROM_TEMPLATE: object}' },
  },
  spec: {
    metadata: {
      labels: { 'app.kubernetes.io/name': 'rich', team: 'a_b', version: 'v1' },
      annotations: {
        'proxy.istio.io/config': 'tracing: {zipkin: {address: "other:9411"}}\nproxyMetadata: {FROM_TEMPLATE: template}',
      },
    },
    template: { labels: { version: 'v2' }, serviceAccount: 'default', network: 'vm-net', weight: 3 },
    probe: {
      initialDelaySeconds: 0,
      failureThreshold: 3,
      httpGet: { port: 8080, path: '/x y', httpHeaders: [{ name: 'a', value: 'b' }] },
    },
  },
});

jest.setTimeout(60_000);

let namespace: TestNamespace;
let cluster: ClusterPort;
let scratch: string;

beforeAll(async () => {
  const env = await sandboxEnv();
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(env.kubeconfig);
  cluster = new KubernetesCluster(kubeConfig, { istioNamespace, meshliftNamespace: 'meshlift-system' });
  namespace = await testNamespace('sameness');
  scratch = mkdtempSync(join(tmpdir(), 'meshlift-sameness-'));
});

afterAll(async () => {
  await namespace.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const request = (workloadGroup: string): OnboardMachine => ({
  name: 'vm-1',
  namespace: namespace.name,
  workloadGroup,
  workload: {
    labels: { app: workloadGroup },
    ports: { http: 8080 },
    serviceAccount: workloadGroup,
    probe: { httpGet: { port: 8080, path: '/healthz' }, periodSeconds: 2 },
  },
  host: { address, user: 'ops', credentialsName: 'key', hostKey: { trustOnFirstUse: true } },
});

const render = async (workloadGroup: string, facts: ClusterFacts): Promise<RenderMachineResult> =>
  await clusterActivities({ cluster, packages: {} as PackagePort }).renderMachine({
    request: request(workloadGroup),
    cluster: facts,
    machine: { hostname: 'vm-1', addresses: [address], ownAddress: address, sshdPorts },
  });

/** Runs istioctl as the README's reader would; hands back its files. */
async function istioctl(workloadGroup: string, revision: string): Promise<(file: string) => string> {
  const output = join(scratch, workloadGroup);
  await command(
    'istioctl',
    ...[
      'x',
      'workload',
      'entry',
      'configure',
      '--autoregister',
      '--name',
      workloadGroup,
      '--namespace',
      namespace.name,
    ],
    ...['--internalIP', address, '--revision', revision, '--output', output],
  );
  return (file) => readFileSync(join(output, file), 'utf8');
}

function expectSame(rendered: RenderMachineResult, istioctlFile: (file: string) => string, revision: string): void {
  const ours = (path: string): string | undefined => rendered.files.find((file) => file.path === path)?.content;
  const differences: Differences = { machine: 'vm-1', revision, istioNamespace, address, sshdPorts };
  expect(ours('/var/lib/istio/envoy/cluster.env')).toBe(
    clusterEnvWithDifferences(istioctlFile('cluster.env'), differences),
  );
  expect(ours('/etc/istio/config/mesh')).toBe(meshConfigWithDifferences(istioctlFile('mesh.yaml'), differences));
  expect(ours('/etc/certs/root-cert.pem')).toBe(istioctlFile('root-cert.pem'));
  expect(rendered.hostsLines.map((line) => `${line}\n`).join('')).toBe(istioctlFile('hosts'));
}

interface Claims {
  readonly aud: readonly string[];
  readonly sub: string;
}
const claims = (token: string): Claims => {
  const { aud, sub } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims;
  return { aud, sub };
};

describe('files beside istioctl’s', () => {
  test('the demo’s group: all files are the same but for the listed differences', async () => {
    const query = { namespace: namespace.name, machine: 'vm-1', workloadGroup: 'orders' };
    const first = await render('orders', await cluster.readFacts(query));
    await cluster.apply(first.objects);
    const facts = await cluster.readFacts(query);
    const rendered = await render('orders', facts);
    expect(rendered.files).toEqual(first.files);
    const revision = facts.revision?.name ?? '';
    const file = await istioctl('orders', revision);
    expectSame(rendered, file, revision);
    const { token } = await cluster.issueToken(namespace.name, rendered.serviceAccount, 3600);
    expect(claims(token)).toEqual(claims(file('istio-token')));
  });

  test('a group and a mesh with everything that istioctl merges: the same', async () => {
    const revision = namespace.name;
    const manifest = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [
        richGroup('rich', namespace.name),
        configMap(`istio-${revision}`, { mesh: richMeshConfig }),
        configMap(`istio-sidecar-injector-${revision}`, {
          values: JSON.stringify({ global: { multiCluster: { clusterName: 'cluster-2' } } }),
        }),
      ],
    });
    try {
      await apply(manifest);
      const facts = await cluster.readFacts({ namespace: namespace.name, machine: 'vm-1', workloadGroup: 'rich' });
      const rendered = await render('rich', {
        ...facts,
        revision: { name: revision, version: '1.30.0', readyReplicas: 1 },
        meshConfig: richMeshConfig,
        clusterId: 'cluster-2',
      });
      expectSame(rendered, await istioctl('rich', revision), revision);
    } finally {
      await command(
        'kubectl',
        ...['delete', 'configmap', '--ignore-not-found', '--namespace', istioNamespace],
        ...[`istio-${revision}`, `istio-sidecar-injector-${revision}`],
      );
    }
  });
});

const configMap = (name: string, data: Readonly<Record<string, string>>): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: istioNamespace },
  data,
});

async function apply(manifest: string): Promise<void> {
  const file = join(scratch, 'manifest.json');
  writeFileSync(file, manifest);
  await command('kubectl', 'apply', '--server-side', '--filename', file);
}
