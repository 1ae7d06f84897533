/** The rendered files beside those of the real istioctl: the demo's group, and groups and meshes with everything that istioctl reads. */
import { lookup } from 'node:dns/promises';
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
  hostsWithDifferences,
  listedDifferences,
  meshConfigWithDifferences,
  shownDifferences,
} from '../support/istioctl-differences.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command } from '../support/sandbox.ts';
import { groups, type Mesh, meshes, type SamenessGroup } from '../support/sameness-groups.ts';

const address = '10.245.0.77';
const sshdPorts = [22, 2222];

jest.setTimeout(120_000);

let kubeConfig: KubeConfig;
let namespace: TestNamespace;
let scratch: string;

/** A mesh of the table in a namespace of its own, which is its istio namespace. */
const istioNamespaceOf = (mesh: string): string => `${namespace.name}-${mesh}`;
const groupName = (index: number): string => `group-${index}`;
const clusterOf = (istioNamespace: string): ClusterPort =>
  new KubernetesCluster(kubeConfig, { istioNamespace, meshliftNamespace: 'meshlift-system' });

beforeAll(async () => {
  const env = await sandboxEnv();
  kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(env.kubeconfig);
  scratch = mkdtempSync(join(tmpdir(), 'meshlift-sameness-'));
  namespace = await testNamespace('sameness');
  await apply([
    ...Object.entries(meshes).flatMap(([name, mesh]) => meshObjects(istioNamespaceOf(name), mesh)),
    ...groups.map(({ annotations = {}, spec }, index) => workloadGroup(groupName(index), spec, annotations)),
    workloadGroup('no-account', { metadata: {}, template: {} }),
    workloadGroup('no-metadata', { template: { serviceAccount: 'default' } }),
    workloadGroup(
      'annotated',
      { metadata: {}, template: { serviceAccount: 'default' } },
      {
        'proxy.istio.io/config': 'proxyMetadata: {A: b}',
      },
    ),
  ]);
  await Promise.all(
    Object.entries(meshes).map(async ([name, { gateway = {} }]) => {
      const { ip, hostname } = gateway;
      if (ip === undefined && hostname === undefined) return;
      const status = { status: { loadBalancer: { ingress: [ip === undefined ? { hostname } : { ip }] } } };
      await command(
        'kubectl',
        ...['patch', 'service', 'istio-eastwestgateway', '--namespace', istioNamespaceOf(name)],
        ...['--subresource=status', '--type=merge', '--patch', JSON.stringify(status)],
      );
    }),
  );
});

afterAll(async () => {
  await command('kubectl', 'delete', 'namespace', '--wait=false', ...Object.keys(meshes).map(istioNamespaceOf));
  await namespace.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const request = (workloadGroup: string, more: Partial<OnboardMachine> = {}): OnboardMachine => ({
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
  ...more,
});

const render = async (cluster: ClusterPort, facts: ClusterFacts, asked: OnboardMachine): Promise<RenderMachineResult> =>
  await clusterActivities({ cluster, packages: {} as PackagePort }).renderMachine({
    request: asked,
    cluster: facts,
    machine: {
      hostKeyFingerprint: 'SHA256:any',
      hostname: 'vm-1',
      addresses: [address],
      ownAddress: address,
      sshdPorts,
    },
  });

/** Reads the cluster as an onboarding does, and renders. */
async function meshlift(
  istioNamespace: string,
  asked: OnboardMachine,
): Promise<{ rendered: RenderMachineResult; facts: ClusterFacts }> {
  const cluster = clusterOf(istioNamespace);
  const { revision } = asked;
  const facts = await cluster.readFacts({
    namespace: namespace.name,
    machine: 'vm-1',
    workloadGroup: asked.workloadGroup,
    ...(revision === undefined ? {} : { revision }),
  });
  return { rendered: await render(cluster, facts, asked), facts };
}

/** Runs istioctl as the README's reader would; hands back its files. */
async function istioctl(
  workloadGroup: string,
  istioNamespace: string,
  ...flags: readonly string[]
): Promise<(file: string) => string> {
  const output = join(scratch, workloadGroup);
  await command(
    'istioctl',
    ...['x', 'workload', 'entry', 'configure', '--autoregister', '--istioNamespace', istioNamespace],
    ...['--name', workloadGroup, '--namespace', namespace.name, '--output', output],
    ...flags,
  );
  return (file) => readFileSync(join(output, file), 'utf8');
}

function expectSame(rendered: RenderMachineResult, istioctlFile: (file: string) => string, on: Differences): void {
  const ours = (path: string): string | undefined => rendered.files.find((file) => file.path === path)?.content;
  expect(ours('/var/lib/istio/envoy/cluster.env')).toBe(clusterEnvWithDifferences(istioctlFile('cluster.env'), on));
  expect(ours('/etc/istio/config/mesh')).toBe(meshConfigWithDifferences(istioctlFile('mesh.yaml'), on));
  expect(ours('/etc/certs/root-cert.pem')).toBe(istioctlFile('root-cert.pem'));
  expect(rendered.hostsLines.map((line) => `${line}\n`).join('')).toBe(hostsWithDifferences(istioctlFile('hosts'), on));
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
    const istioNamespace = 'istio-system';
    const cluster = clusterOf(istioNamespace);
    const first = await meshlift(istioNamespace, request('orders'));
    await cluster.apply(first.rendered.objects);
    const { rendered, facts } = await meshlift(istioNamespace, request('orders'));
    expect(rendered.files).toEqual(first.rendered.files);
    const revision = facts.revision?.name ?? '';
    const file = await istioctl('orders', istioNamespace, '--internalIP', address, '--revision', revision);
    expectSame(rendered, file, { machine: 'vm-1', group: 'orders', revision, istioNamespace, address, sshdPorts });
    const { token } = await cluster.issueToken(namespace.name, rendered.serviceAccount, 3600);
    expect(claims(token)).toEqual(claims(file('istio-token')));
  });

  test.concurrent.each(groups.map((group, index) => ({ ...group, name: groupName(index) })))(
    '$title',
    async ({ name, mesh, flags = [], addressing, differences = {} }: SamenessGroup & { name: string }) => {
      const istioNamespace = istioNamespaceOf(mesh);
      const { revision = '', gateway } = meshes[mesh] ?? {};
      const asked = request(name, {
        ...(addressing === undefined ? {} : { addressing }),
        ...(revision === 'default' ? {} : { revision }),
      });
      const [{ rendered }, file] = await Promise.all([
        meshlift(istioNamespace, asked),
        istioctl(name, istioNamespace, ...(revision === 'default' ? [] : ['--revision', revision]), ...flags),
      ]);
      const hostname = gateway?.hostname;
      const addresses = hostname === undefined ? undefined : await lookup(hostname, { all: true });
      expectSame(rendered, file, {
        ...{ machine: 'vm-1', group: name, revision, istioNamespace, sshdPorts, ...differences },
        address: addressing?.ip ?? address,
        ...(addresses === undefined ? {} : { resolved: addresses.map((found) => found.address).sort() }),
      });
    },
  );

  test('modes and owners are Meshlift’s own', async () => {
    const { rendered } = await meshlift(istioNamespaceOf('canary'), request(groupName(0), { revision: 'canary' }));
    const placed = [...rendered.files, rendered.token].map(({ path, mode, owner }) => `${path} ${mode} ${owner}`);
    expect(placed).toEqual(
      expect.arrayContaining([
        '/var/lib/istio/envoy/cluster.env 0644 root:root',
        '/etc/istio/config/mesh 0644 root:root',
        '/etc/certs/root-cert.pem 0644 istio-proxy:istio-proxy',
        '/var/run/secrets/tokens/istio-token 0600 istio-proxy:istio-proxy',
      ]),
    );
  });
});

describe('groups that istioctl cannot read from the API', () => {
  const cases = [
    { group: 'no-account', mesh: 'canary', fails: /could not create a token under service account {2}in namespace/ },
    { group: 'no-metadata', mesh: 'canary', fails: /panic: runtime error/ },
    { group: 'annotated', mesh: 'addressed', fails: /panic: assignment to entry in nil map/ },
  ];
  test.concurrent.each(cases)('$group is rendered all the same', async ({ group, mesh, fails }) => {
    const { revision = '' } = meshes[mesh] ?? {};
    const named = revision === 'default' ? {} : { revision };
    const { rendered } = await meshlift(istioNamespaceOf(mesh), request(group, named));
    expect(rendered.serviceAccount).toBe('default');
    const flags = revision === 'default' ? [] : ['--revision', revision];
    await expect(istioctl(group, istioNamespaceOf(mesh), ...flags)).rejects.toThrow(fails);
  });
});

test('every difference that files can show was shown by a group', () => {
  const canBeShown = listedDifferences.filter((one) => one.clusterEnv ?? one.meshConfig ?? one.hosts);
  expect([...shownDifferences].sort()).toEqual(canBeShown.map(({ what }) => what).sort());
});

const workloadGroup = (name: string, spec: object, annotations: Readonly<Record<string, string>> = {}): object => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadGroup',
  metadata: { name, namespace: namespace.name, annotations },
  spec,
});

/** What istioctl and Meshlift read of an Istio installation; its istiod has no replicas. */
function meshObjects(istioNamespace: string, { revision, meshConfig, clusterName, gateway }: Mesh): object[] {
  const suffix = revision === 'default' ? '' : `-${revision}`;
  const at = (name: string) => ({ name, namespace: istioNamespace });
  const configMap = (name: string, data: Readonly<Record<string, string>>): object => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: at(name), data },
  });
  const labels = { app: 'istiod', ...(revision === 'default' ? {} : { 'istio.io/rev': revision }) };
  const containers = [{ name: 'discovery', image: 'istio/pilot:1.30.0' }];
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: istioNamespace } },
    configMap(`istio${suffix}`, { mesh: meshConfig }),
    configMap(`istio-sidecar-injector${suffix}`, {
      values: JSON.stringify({ global: { multiCluster: { clusterName } } }),
    }),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { ...at(`istiod${suffix}`), labels },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    },
    ...(gateway === undefined
      ? []
      : [
          {
            apiVersion: 'v1',
            kind: 'Service',
            metadata: at('istio-eastwestgateway'),
            spec: {
              type: gateway.externalIP === undefined ? 'LoadBalancer' : 'ClusterIP',
              ports: [{ name: 'tls-istiod', port: 15_012 }],
              ...(gateway.externalIP === undefined ? {} : { externalIPs: [gateway.externalIP] }),
            },
          },
        ]),
  ];
}

async function apply(items: readonly object[]): Promise<void> {
  const file = join(scratch, 'manifest.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await command('kubectl', 'apply', '--server-side', '--filename', file);
}
