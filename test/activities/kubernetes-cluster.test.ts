/** The cluster adapter and its activities against a real API server and istiod. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';

import { IstioMesh } from '../../activities/adapters/istio-mesh.ts';
import { KubernetesCluster } from '../../activities/adapters/kubernetes-cluster.ts';
import { type ClusterActivities, clusterActivities } from '../../activities/cluster.ts';
import { type MeshActivities, meshActivities } from '../../activities/mesh.ts';
import type { KubernetesObject, ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { PackagePort } from '../../activities/ports/package-port.ts';
import { renderObjects } from '../../activities/render/objects.ts';
import { machineGroup } from '../../activities/render/workload-group.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';
import { command, kubectl } from '../support/sandbox.ts';

const options = { istioNamespace: 'istio-system', meshliftNamespace: 'meshlift-system' };

jest.setTimeout(60_000);

const container = { name: 'a', image: 'a' };

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-cluster-'));

let kubeConfig: KubeConfig;
let namespace: TestNamespace;
let cluster: KubernetesCluster;
let activities: ClusterActivities;
let mesh: MeshActivities;

beforeAll(async () => {
  kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile((await sandboxEnv()).kubeconfig);
  cluster = new KubernetesCluster(kubeConfig, options);
  activities = clusterActivities({ cluster, packages: {} as PackagePort });
  mesh = meshActivities({ mesh: new IstioMesh(kubeConfig, options) });
  namespace = await testNamespace('cluster');
});

afterAll(async () => {
  await namespace.remove();
  rmSync(scratch, { recursive: true });
});

const query = (machine: string, workloadGroup = 'orders') => ({ namespace: namespace.name, machine, workloadGroup });
const refOf = ({ apiVersion, kind, metadata }: KubernetesObject): ObjectRef => ({ apiVersion, kind, ...metadata });

async function objectsOf(machine: string): Promise<readonly KubernetesObject[]> {
  const facts = await cluster.readFacts(query(machine));
  const request = { namespace: namespace.name, workloadGroup: 'orders', workload: { ports: { http: 8080 } } };
  return renderObjects(machine, machineGroup(request, facts.workloadGroup), facts);
}

async function failureOf(
  call: Promise<unknown>,
): Promise<{ type?: unknown; nonRetryable?: unknown; message?: unknown }> {
  try {
    await call;
  } catch (error) {
    return error as { type?: unknown };
  }
  return {};
}

describe('facts', () => {
  test('say what the control plane is and that the namespace has nothing of ours', async () => {
    const facts = await activities.readClusterFacts(query('vm-1'));
    expect(facts).toMatchObject({
      namespaceExists: true,
      namespaceIsAmbient: false,
      serviceAccountExists: false,
      objects: [],
      istioNamespace: 'istio-system',
    });
    expect(facts.revision?.name).toMatch(/^1-\d+-\d+$/);
    expect(facts.revision?.version).toBe(facts.revision?.name.replaceAll('-', '.'));
    expect(facts.revision?.readyReplicas).toBeGreaterThan(0);
    expect(facts.rootCertificate).toContain('BEGIN CERTIFICATE');
    expect(facts.clusterId).not.toBe('');
    expect(facts.workloadGroup).toBeUndefined();
  });

  test('hold the policies of others, those of the whole mesh too, and when the root certificate runs out', async () => {
    const policy = (kind: string, name: string, where: string, labels = {}): KubernetesObject => ({
      apiVersion: kind === 'Sidecar' ? 'networking.istio.io/v1' : 'security.istio.io/v1',
      kind,
      metadata: { name, namespace: where, labels },
      spec:
        kind === 'Sidecar'
          ? { workloadSelector: { labels: { app: 'none' } } }
          : { selector: { matchLabels: { app: 'none' } } },
    });
    const others = [
      policy('Sidecar', 'others', namespace.name),
      policy('PeerAuthentication', 'others', namespace.name),
      policy('AuthorizationPolicy', 'others', namespace.name),
      policy('AuthorizationPolicy', namespace.name, options.istioNamespace),
    ];
    const ours = policy('Sidecar', 'ours', namespace.name, { 'app.kubernetes.io/managed-by': 'meshlift' });
    const write = async (verb: string, objects: readonly KubernetesObject[]): Promise<void> => {
      const list = join(scratch, 'policies.json');
      writeFileSync(list, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
      await command('kubectl', verb, '-f', list);
    };
    await write('apply', [...others, ours]);
    try {
      const { policies = [], ...facts } = await activities.readClusterFacts(query('vm-1'));
      const names = policies.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);
      for (const { kind, metadata } of others)
        expect(names).toContain(`${kind} ${metadata.namespace}/${metadata.name}`);
      expect(names).not.toContain(`Sidecar ${namespace.name}/ours`);
      expect(facts.rootNamespace).toBe(options.istioNamespace);
      expect(Date.parse(facts.rootCertificateExpiresAt ?? '')).toBeGreaterThan(Date.now());
    } finally {
      await write('delete', [...others, ours]);
    }
  });

  test('an unknown namespace and an unknown revision are answers, not errors', async () => {
    const facts = await activities.readClusterFacts({
      namespace: 'no-such-namespace',
      machine: 'vm-1',
      workloadGroup: 'orders',
      revision: 'no-such-revision',
    });
    expect(facts.namespaceExists).toBe(false);
    expect(facts.revision).toBeUndefined();
  });
});

describe('objects', () => {
  test('are created, found again, and the second time unchanged; the last machine takes group and account with it', async () => {
    const first = await objectsOf('vm-1');
    const applied = await activities.applyObjects({ objects: first });
    expect(applied.map(({ ref, result }) => `${ref.kind} ${result}`)).toEqual([
      'PeerAuthentication created',
      'Sidecar created',
      'WorkloadGroup created',
      'ServiceAccount created',
    ]);
    const again = await objectsOf('vm-1');
    expect(again).toEqual(first);
    expect((await activities.applyObjects({ objects: again })).map(({ result }) => result)).toEqual(
      Array.from({ length: 4 }, () => 'unchanged'),
    );
    const { objects } = await activities.readClusterFacts(query('vm-1'));
    expect(new Set(objects)).toEqual(new Set(first));

    await activities.applyObjects({ objects: await objectsOf('vm-2') });
    await expect(cluster.listGroupMachines(namespace.name, 'orders')).resolves.toEqual(['vm-1', 'vm-2']);

    const leave = async (machine: string): Promise<readonly string[]> => {
      const own = (await objectsOf(machine)).filter(({ metadata }) => metadata.name === `meshlift-${machine}`);
      const removed = await activities.removeObjects({ objects: own.map(refOf) });
      const shared = await activities.removeGroupIfUnused({ ...query(machine), machine, serviceAccount: 'orders' });
      return [...removed, ...shared].map(({ kind, name }) => `${kind} ${name}`);
    };
    expect(await leave('vm-1')).toEqual(['PeerAuthentication meshlift-vm-1', 'Sidecar meshlift-vm-1']);
    expect(await leave('vm-2')).toEqual([
      'PeerAuthentication meshlift-vm-2',
      'Sidecar meshlift-vm-2',
      'WorkloadGroup orders',
      'ServiceAccount orders',
    ]);
    expect(await leave('vm-2')).toEqual([]);
  });

  test('a machine that joins while the last one leaves keeps its group and account', async () => {
    await activities.applyObjects({ objects: await objectsOf('vm-1') });
    const joining = await objectsOf('vm-2');
    const own = (await objectsOf('vm-1')).filter(({ metadata }) => metadata.name === 'meshlift-vm-1');
    await activities.removeObjects({ objects: own.map(refOf) });
    // Between the first look at the others and the removal.
    const racing = Object.assign(Object.create(cluster) as KubernetesCluster, {
      remove: async (objects: readonly ObjectRef[]) => {
        await cluster.apply(joining.slice(0, 1));
        return await cluster.remove(objects);
      },
    });
    racing.readFacts = (asked) => cluster.readFacts(asked);
    racing.apply = (objects) => cluster.apply(objects);
    racing.listGroupMachines = (...asked) => cluster.listGroupMachines(...asked);
    const leaving = clusterActivities({ cluster: racing, packages: {} as PackagePort });
    const input = { ...query('vm-1'), serviceAccount: 'orders' };
    expect(await leaving.removeGroupIfUnused(input)).toEqual([]);
    expect(await kubectl('get', 'workloadgroup/orders', 'serviceaccount/orders', '-n', namespace.name)).toMatchObject({
      items: [{ kind: 'WorkloadGroup' }, { kind: 'ServiceAccount' }],
    });
    const left = (await objectsOf('vm-2')).filter(({ metadata }) => metadata.name === 'meshlift-vm-2');
    await activities.removeObjects({ objects: left.map(refOf) });
    expect((await activities.removeGroupIfUnused({ ...query('vm-2'), serviceAccount: 'orders' })).length).toBe(2);
  });

  test('an account that a workload names stays, also where none of its pods runs', async () => {
    await activities.applyObjects({ objects: await objectsOf('vm-1') });
    const spec = { selector: { matchLabels: { app: 'a' } }, replicas: 0 };
    const template = {
      metadata: { labels: { app: 'a' } },
      spec: { serviceAccountName: 'orders', containers: [container] },
    };
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'a', namespace: namespace.name },
    };
    await cluster.apply([{ ...deployment, spec: { ...spec, template } }]);
    const own = (await objectsOf('vm-1')).filter(({ metadata }) => metadata.name === 'meshlift-vm-1');
    await activities.removeObjects({ objects: own.map(refOf) });
    const removed = await activities.removeGroupIfUnused({ ...query('vm-1'), serviceAccount: 'orders' });
    expect(removed.map(({ kind }) => kind)).toEqual(['WorkloadGroup']);
    await command('kubectl', 'delete', 'deployment/a', 'serviceaccount/orders', '-n', namespace.name);
  });

  test('of someone else stay: they are neither ours to remove nor to overwrite', async () => {
    await command('kubectl', 'create', 'serviceaccount', 'theirs', '--namespace', namespace.name);
    const theirs = { apiVersion: 'v1', kind: 'ServiceAccount', namespace: namespace.name, name: 'theirs' };
    expect(await activities.removeObjects({ objects: [theirs] })).toEqual([]);
    expect(await kubectl('get', 'serviceaccount', 'theirs', '--namespace', namespace.name)).toBeDefined();
  });
});

describe('a registered machine', () => {
  const address = '10.245.0.78';
  const entry = () => ({ namespace: namespace.name, workloadGroup: 'entries', address });

  /** What istiod writes when a machine of the group connects. */
  beforeAll(async () => {
    const connectedAt = new Date().toISOString();
    await cluster.apply([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'entries', namespace: namespace.name },
        spec: { selector: { app: 'entries' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
      },
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'WorkloadEntry',
        metadata: {
          name: `entries-${address}`,
          namespace: namespace.name,
          labels: { app: 'entries', 'meshlift.dev/machine': 'vm-1' },
          annotations: {
            'istio.io/autoRegistrationGroup': 'entries',
            'istio.io/connectedAt': connectedAt,
            'istio.io/workloadController': 'a-test',
          },
        },
        spec: { address, labels: { app: 'entries' }, ports: { http: 8080 }, serviceAccount: 'default' },
      },
    ]);
  });

  const eventually = async (holds: () => Promise<boolean>): Promise<void> => {
    for (
      const started = Date.now();
      Date.now() - started < 15_000;
      await new Promise((done) => setTimeout(done, 200))
    ) {
      if (await holds()) return;
    }
    throw new Error('Not true within 15 s');
  };
  const isGivenOut = async (): Promise<boolean> =>
    (await failureOf(mesh.verifyNotGivenOut({ namespace: namespace.name, machine: 'vm-1', address }))).type ===
    'EndpointGivenOut';

  test('is registered, and healthy where its group has no probe', async () => {
    expect(await activities.verifyRegistered(entry())).toMatchObject({
      name: `entries-${address}`,
      controller: 'a-test',
    });
    expect(await activities.verifyHealthy({ ...entry(), hasProbe: false })).toBeDefined();
    const unhealthy = await failureOf(activities.verifyHealthy({ ...entry(), hasProbe: true }));
    expect(unhealthy).toMatchObject({ type: 'NotHealthy', nonRetryable: false });
    const later = new Date(Date.now() + 60_000).toISOString();
    expect(await failureOf(activities.verifyRegistered({ ...entry(), since: later }))).toMatchObject({
      type: 'NotRegistered',
    });
    expect(await failureOf(activities.verifyRegistered({ ...entry(), address: '10.0.0.1' }))).toMatchObject({
      type: 'NotRegistered',
    });
  });

  test('a report of health counts only over the present connection', async () => {
    const report = async (lastProbeTime: string): Promise<void> => {
      const status = { conditions: [{ type: 'Healthy', status: 'True', lastProbeTime }] };
      await command(
        'kubectl',
        ...['patch', 'workloadentry', `entries-${address}`, '--namespace', namespace.name, '--subresource', 'status'],
        ...['--type', 'merge', '--patch', JSON.stringify({ status })],
      );
    };
    await report('2020-01-01T00:00:00Z');
    expect(await failureOf(activities.verifyHealthy({ ...entry(), hasProbe: true }))).toMatchObject({
      type: 'NotHealthy',
    });
    await report(new Date().toISOString());
    expect((await activities.verifyHealthy({ ...entry(), hasProbe: true })).healthy?.status).toBe('True');
  });

  test('istiod gives it out until it drains, again after that, and never once its entry is gone', async () => {
    await eventually(isGivenOut);
    expect(await activities.drainWorkloadEntry({ ...entry(), value: '01ARZ3NDEKTSV4RRFFQ69G5FAV.a' })).toBe(true);
    await eventually(async () => !(await isGivenOut()));
    expect(await activities.drainWorkloadEntry({ ...entry(), value: null })).toBe(true);
    await eventually(isGivenOut);
    expect((await activities.verifyRegistered(entry())).labels).toEqual({
      app: 'entries',
      'meshlift.dev/machine': 'vm-1',
    });
    expect((await activities.removeWorkloadEntry(entry())).map(({ name }) => name)).toEqual([`entries-${address}`]);
    await eventually(async () => !(await isGivenOut()));
    expect(await activities.drainWorkloadEntry({ ...entry(), value: 'x' })).toBe(false);
  });
});

describe('istiod’s evidence of a proxy', () => {
  test('a pod of the mesh is connected to one istiod and has accepted everything', async () => {
    const pods = await kubectl<{ items: { metadata: { name: string } }[] }>(
      'get',
      'pods',
      '--namespace',
      'shop',
      '--selector',
      'app=frontend',
    );
    const facts = await activities.readClusterFacts(query('vm-1'));
    const proxy = { namespace: 'shop', name: pods.items[0]?.metadata.name ?? '' };
    const { name: revision, version } = facts.revision ?? { name: '', version: '' };
    expect(await mesh.verifyConnected({ ...proxy, revision, version })).toMatchObject({
      revision,
      version,
      rejected: [],
    });
    expect(await failureOf(mesh.verifyConnected({ ...proxy, revision: 'other', version }))).toMatchObject({
      type: 'ProxyNotConnected',
    });
    expect(await failureOf(mesh.verifyConnected({ ...proxy, revision, version: '0.0.1' }))).toMatchObject({
      type: 'ProxyNotConnected',
    });
    expect(await failureOf(mesh.verifyConnected({ ...proxy, name: 'nobody', revision, version }))).toMatchObject({
      type: 'ProxyNotConnected',
    });
  });

  test('no istiod to ask is no proof', async () => {
    const elsewhere = meshActivities({ mesh: new IstioMesh(kubeConfig, { istioNamespace: namespace.name }) });
    const unproven = await failureOf(
      elsewhere.verifyNotGivenOut({ namespace: namespace.name, machine: 'vm-1', address: '10.0.0.1' }),
    );
    expect(unproven).toMatchObject({ type: 'EvidenceUnavailable', nonRetryable: false });
  });
});

describe('failures', () => {
  const sidecar = (changes: { namespace?: string; spec: unknown }): KubernetesObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: { name: 'meshlift-failing', namespace: changes.namespace ?? namespace.name },
    spec: changes.spec,
  });

  test('name their type, and whether a retry can heal them', async () => {
    expect(await failureOf(cluster.apply([sidecar({ namespace: 'no-such-namespace', spec: {} })]))).toMatchObject({
      type: 'NamespaceMissing',
      nonRetryable: true,
    });
    expect(await failureOf(cluster.apply([sidecar({ spec: { noSuchField: 1 } })]))).toMatchObject({
      type: 'ObjectRejected',
      nonRetryable: true,
    });
    expect(await failureOf(cluster.issueToken(namespace.name, 'no-such-account', 600))).toMatchObject({
      type: 'ObjectRejected',
    });
    expect(await failureOf(cluster.readSshCredential('no-such-secret'))).toMatchObject({
      type: 'CredentialMissing',
      nonRetryable: true,
    });
  });

  test('an API server that does not answer is unreachable, and worth a retry', async () => {
    const nowhere = new KubeConfig();
    nowhere.loadFromClusterAndUser(
      { name: 'nowhere', server: 'https://127.0.0.1:1', skipTLSVerify: false },
      { name: 'nobody' },
    );
    const call = new KubernetesCluster(nowhere, options).readFacts(query('vm-1'));
    expect(await failureOf(call)).toMatchObject({ type: 'ClusterUnreachable', nonRetryable: false });
  });

  test('an account without rights is told so', async () => {
    const limited = new KubeConfig();
    const { token } = await cluster.issueToken('kube-system', 'default', 600);
    const current = kubeConfig.getCurrentCluster();
    expect(token).not.toBe('');
    if (current === null) throw new Error('The sandbox’s kubeconfig names no cluster');
    limited.loadFromClusterAndUser(current, { name: 'nobody', token });
    const call = new KubernetesCluster(limited, options).readSshCredential('any');
    expect(await failureOf(call)).toMatchObject({ type: 'ClusterForbidden', nonRetryable: true });
  });
});

describe('credentials', () => {
  test('are read from a Secret of type kubernetes.io/ssh-auth and from no other', async () => {
    const own = new KubernetesCluster(kubeConfig, { ...options, meshliftNamespace: namespace.name });
    const { sshKey } = await sandboxEnv();
    await command(
      'kubectl',
      ...['create', 'secret', 'generic', 'login', '--namespace', namespace.name],
      ...['--type', 'kubernetes.io/ssh-auth', `--from-file=ssh-privatekey=${sshKey}`],
    );
    await command(
      'kubectl',
      ...['create', 'secret', 'generic', 'other', '--namespace', namespace.name, '--from-literal=a=b'],
    );
    expect((await own.readSshCredential('login')).privateKey).toContain('PRIVATE KEY');
    expect(await failureOf(own.readSshCredential('other'))).toMatchObject({ type: 'CredentialMissing' });
  });
});
