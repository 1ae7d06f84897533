import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';

import type { ClusterFacts, KubernetesObject } from '../../activities/ports/cluster-port.ts';
import { type RenderInput, renderMachineFiles } from '../../activities/render/machine-files.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'render', name), 'utf8');

const request: OnboardMachine = {
  name: 'orders-1',
  namespace: 'shop',
  workloadGroup: 'orders',
  workload: {
    labels: { app: 'orders', version: 'vm' },
    ports: { http: 8080 },
    network: 'vm-net',
    probe: { httpGet: { port: 8080, path: '/healthz' }, periodSeconds: 2 },
  },
  host: { address: '10.245.0.11', user: 'ops', credentialsName: 'fleet', hostKey: { trustOnFirstUse: true } },
};
const cluster: RenderInput['cluster'] = {
  namespaceExists: true,
  namespaceIsAmbient: false,
  serviceAccountExists: false,
  revision: { name: '1-30-0', version: '1.30.0', readyReplicas: 1 },
  meshConfig: 'defaultConfig: {discoveryAddress: "istiod-1-30-0.istio-system.svc:15012"}\ntrustDomain: cluster.local\n',
  clusterId: 'Kubernetes',
  rootCertificate: '-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n',
  gateway: { ip: '10.245.0.2' },
  objects: [],
};
const machine = {
  hostKeyFingerprint: `SHA256:${'A'.repeat(43)}`,
  hostname: 'orders-1',
  addresses: ['192.168.0.4', '10.245.0.11'],
  ownAddress: '10.245.0.11',
  sshdPorts: [2222, 22],
};

interface Changes {
  readonly request?: Partial<OnboardMachine>;
  readonly cluster?: Partial<ClusterFacts>;
  readonly machine?: Partial<RenderInput['machine']>;
  readonly enforcement?: 'observe' | 'enforce';
}

const render = ({ enforcement, ...changes }: Changes = {}) =>
  renderMachineFiles({
    request: { ...request, ...changes.request },
    cluster: { ...cluster, ...changes.cluster },
    machine: { ...machine, ...changes.machine },
    ...(enforcement === undefined ? {} : { enforcement }),
  });

const rendered = render();
const kinds = (objects: readonly KubernetesObject[]): string[] =>
  objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`);

describe('files', () => {
  const contents: readonly (readonly [string, string])[] = [
    ['/var/lib/istio/envoy/cluster.env', 'cluster.env.golden'],
    ['/etc/istio/config/mesh', 'mesh.yaml.golden'],
  ];
  test.each(contents)('%s is %s', (path, name) => {
    expect(rendered.files.find((file) => file.path === path)?.content).toBe(golden(name));
  });

  test('every file has its mode and owner, and the token stands apart: it is made when it is written', () => {
    expect(rendered.files.map(({ path, mode, owner, compare }) => `${mode} ${owner} ${compare} ${path}`)).toEqual([
      '0644 root:root bytes /var/lib/istio/envoy/cluster.env',
      '0644 root:root bytes /etc/istio/config/mesh',
      '0644 istio-proxy:istio-proxy certificateSet /etc/certs/root-cert.pem',
      '0755 root:root bytes /var/lib/meshlift/bin/capture',
      '0644 root:root bytes /etc/systemd/system/istio.service.d/meshlift.conf',
      '0644 root:root bytes /etc/systemd/system/meshlift-closed.service',
      '0644 root:root bytes /etc/systemd/system/multi-user.target.d/meshlift.conf',
    ]);
    expect(rendered.token).toEqual({
      path: '/var/run/secrets/tokens/istio-token',
      mode: '0600',
      owner: 'istio-proxy:istio-proxy',
    });
  });

  test('the same facts render the same bytes', () => {
    expect(render()).toEqual(rendered);
  });
});

describe('address', () => {
  const rows: readonly (readonly [string, Partial<OnboardMachine>, string])[] = [
    ["the machine's own", {}, '10.245.0.11'],
    ['the address the request names', { addressing: { ip: '203.0.113.7', external: true } }, '203.0.113.7'],
  ];
  test.each(rows)('is %s', (_, changes, expected) => {
    expect(render({ request: changes }).address).toBe(expected);
  });

  test('an external one makes the agent probe localhost', () => {
    const [clusterEnv] = render({ request: { addressing: { ip: '203.0.113.7', external: true } } }).files;
    expect(clusterEnv?.content).toContain("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION='true'\n");
  });
});

test.each([
  ['tcpSocket without a host', { tcpSocket: { port: 8080 } }, true],
  ['grpc', { grpc: { port: 9090 } }, true],
  ['tcpSocket of a host', { tcpSocket: { port: 8080, host: '192.0.2.1' } }, false],
  ['httpGet', { httpGet: { port: 8080 } }, false],
])('a probe by %s is sent to localhost: it would meet the proxy elsewhere', (_, probe, isLocal) => {
  const workload = { labels: { app: 'orders' }, probe: probe as never };
  const [clusterEnv] = render({ request: { workload } }).files;
  expect(clusterEnv?.content.includes("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION='true'\n")).toBe(isLocal);
});

describe('hosts lines', () => {
  test('every address that a DNS-named gateway resolved to, sorted', () => {
    const gateway = { hostname: 'gateway.example.org', resolved: ['198.51.100.9', '198.51.100.10'] };
    expect(render({ cluster: { gateway } }).hostsLines).toEqual([
      '198.51.100.10 istiod-1-30-0.istio-system.svc',
      '198.51.100.9 istiod-1-30-0.istio-system.svc',
    ]);
  });

  test('none for a gateway whose name does not resolve', () => {
    expect(render({ cluster: { gateway: { hostname: 'gateway.example.org', resolved: [] } } }).hostsLines).toEqual([]);
  });
});

describe('objects', () => {
  test('a first machine brings, after its own, the group and its account, labelled as ours', () => {
    expect(kinds(rendered.objects)).toEqual([
      'PeerAuthentication shop/meshlift-orders-1',
      'Sidecar shop/meshlift-orders-1',
      'WorkloadGroup shop/orders',
      'ServiceAccount shop/orders',
    ]);
    expect(rendered.objects[2]).toEqual({
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadGroup',
      metadata: {
        name: 'orders',
        namespace: 'shop',
        labels: { 'app.kubernetes.io/managed-by': 'meshlift', 'meshlift.dev/workload-group': 'orders' },
      },
      spec: {
        metadata: {},
        template: {
          serviceAccount: 'orders',
          labels: { app: 'orders', version: 'vm' },
          ports: { http: 8080 },
          network: 'vm-net',
        },
        probe: { httpGet: { port: 8080, path: '/healthz' }, periodSeconds: 2 },
      },
    });
  });

  test('observe refuses nobody: PERMISSIVE, ALLOW_ANY, own namespace, and only this machine is selected', () => {
    const [authentication, sidecar] = rendered.objects;
    expect(authentication?.spec).toEqual({
      selector: { matchLabels: { 'meshlift.dev/machine': 'orders-1' } },
      mtls: { mode: 'PERMISSIVE' },
    });
    expect(sidecar?.spec).toEqual({
      workloadSelector: { labels: { 'meshlift.dev/machine': 'orders-1' } },
      egress: [{ hosts: ['./*'] }],
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
    });
    expect(authentication?.metadata.labels).toEqual({
      'app.kubernetes.io/managed-by': 'meshlift',
      'meshlift.dev/machine': 'orders-1',
      'meshlift.dev/workload-group': 'orders',
    });
  });

  test('a group and an account that someone else made are used as found and left alone', () => {
    const workloadGroup = { isOurs: false, annotations: {}, spec: { template: { serviceAccount: 'theirs' } } };
    const found = render({ cluster: { workloadGroup, serviceAccountExists: true } });
    expect(kinds(found.objects)).toEqual([
      'PeerAuthentication shop/meshlift-orders-1',
      'Sidecar shop/meshlift-orders-1',
    ]);
    expect(found.serviceAccount).toBe('theirs');
  });

  test('a group without an account runs as default', () => {
    const workloadGroup = { isOurs: false, annotations: {}, spec: {} };
    expect(render({ cluster: { workloadGroup, serviceAccountExists: true } }).serviceAccount).toBe('default');
  });

  test('a group of ours is named again as found', () => {
    const spec = { template: { serviceAccount: 'orders', labels: { app: 'orders' } } };
    const account = {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'orders', namespace: 'shop', labels: { 'app.kubernetes.io/managed-by': 'meshlift' } },
    };
    const again = render({
      cluster: {
        workloadGroup: { isOurs: true, annotations: {}, spec },
        serviceAccountExists: true,
        objects: [account],
      },
    });
    expect(again.objects.slice(2)).toEqual([expect.objectContaining({ kind: 'WorkloadGroup', spec }), account]);
  });
});

describe('isolation', () => {
  const specs = (changes: Changes): Record<string, unknown> =>
    Object.fromEntries(render(changes).objects.map(({ kind, spec }) => [kind, spec]));
  const own = (changes: Changes): string[] =>
    render(changes)
      .files.filter(({ path }) => /exclude-ports|enforce$/.test(path))
      .map(({ path, content }) => `${path}: ${content.trim().replaceAll('\n', ' ')}`);
  const speaksFirst = { serverFirstPorts: [2525, 25] };
  const declared = { workload: { ports: { http: 8080, 'tcp-mail': 2525 } } };

  test('enforce takes mTLS of the own namespace alone, and reaches only what that declares', () => {
    const selected = { matchLabels: { 'meshlift.dev/machine': 'orders-1' } };
    expect(specs({ enforcement: 'enforce' })).toMatchObject({
      PeerAuthentication: { selector: selected, mtls: { mode: 'STRICT' } },
      Sidecar: { egress: [{ hosts: ['./*'] }], outboundTrafficPolicy: { mode: 'REGISTRY_ONLY' } },
      AuthorizationPolicy: {
        selector: selected,
        action: 'ALLOW',
        rules: [{ from: [{ source: { namespaces: ['shop'] } }] }],
      },
    });
  });

  const files: readonly (readonly [string, Changes, string[]])[] = [
    ['nothing where no server speaks first', {}, []],
    ['ports where the server speaks first', { machine: speaksFirst }, ['/var/lib/meshlift/exclude-ports: 25 2525']],
    [
      'what a running proxy leaves alone, whatever speaks first since',
      { machine: { ...speaksFirst, isCaptured: true, excludedPorts: [25] } },
      ['/var/lib/meshlift/exclude-ports: 25'],
    ],
    [
      'the flag of a machine that is enforced',
      { machine: { isEnforced: true, isCaptured: true } },
      ['/var/lib/meshlift/enforce: enforce'],
    ],
    [
      'the flag again on a new image of one that was',
      {
        cluster: {
          objects: [
            {
              apiVersion: 'security.istio.io/v1',
              kind: 'PeerAuthentication',
              metadata: { name: 'meshlift-orders-1', namespace: 'shop' },
              spec: { mtls: { mode: 'STRICT' } },
            },
          ],
        },
      },
      ['/var/lib/meshlift/enforce: enforce'],
    ],
    [
      'only ports that are not declared as TCP, where enforced',
      {
        enforcement: 'enforce',
        request: declared,
        machine: { ...speaksFirst, isCaptured: true, excludedPorts: [2525] },
      },
      ['/var/lib/meshlift/exclude-ports: 25', '/var/lib/meshlift/enforce: enforce'],
    ],
    [
      'only ports that no Service of it declares as TCP',
      {
        enforcement: 'enforce',
        machine: { serverFirstPorts: [25, 2525, 3306, 5432] },
        request: { workload: { labels: { app: 'orders', version: 'vm' }, ports: { db: 5432 } } },
        cluster: {
          services: [
            { selector: { app: 'orders' }, ports: [{ name: 'tcp-mail', port: 25, targetPort: 2525 }] },
            { selector: { version: 'vm' }, ports: [{ name: 'db', port: 5432, targetPort: 'db', appProtocol: 'tcp' }] },
            { selector: { app: 'other' }, ports: [{ name: 'mysql', port: 3306 }] },
          ],
        },
      },
      ['/var/lib/meshlift/exclude-ports: 25 3306', '/var/lib/meshlift/enforce: enforce'],
    ],
    [
      'all of them again, where observed again',
      { enforcement: 'observe', request: declared, machine: { ...speaksFirst, isEnforced: true, isCaptured: true } },
      ['/var/lib/meshlift/exclude-ports: 25 2525'],
    ],
  ];
  test.each(files)('the files hold %s', (_, changes, expected) => {
    expect(own(changes)).toEqual(expected);
  });

  test('callers in the mesh are told to speak plaintext where no proxy is in the way', () => {
    expect(specs({ machine: speaksFirst })['PeerAuthentication']).toMatchObject({
      portLevelMtls: { 25: { mode: 'DISABLE' }, 2525: { mode: 'DISABLE' } },
    });
  });
});
