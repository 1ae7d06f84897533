/** Istio's own golden files of `istioctl x workload entry configure` (istioctl/pkg/workload/testdata). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';

import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { ClusterFacts, FoundWorkloadGroup } from '../../activities/ports/cluster-port.ts';
import { renderMachineFiles } from '../../activities/render/machine-files.ts';
import {
  clusterEnvWithDifferences,
  type Differences,
  meshConfigWithDifferences,
} from '../support/istioctl-differences.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'istioctl');
const read = (folder: string, name: string): string => readFileSync(join(fixtures, folder, name), 'utf8');

/** Istio's golden files are of a call without --autoregister: with it, one key more is written. */
const autoregistered = (text: string, format: 'env' | 'yaml'): string =>
  format === 'env'
    ? `${text}ISTIO_META_AUTO_REGISTER_GROUP='foo'\n`
    : text.replace('    ISTIO_META_CLUSTER_ID', '    ISTIO_META_AUTO_REGISTER_GROUP: foo\n    ISTIO_META_CLUSTER_ID');

const cases = [
  { folder: 'ipv4', revision: 'rev-1', address: '10.10.10.10', gateway: '10.10.10.11' },
  { folder: 'ipv6', revision: 'rev-1', address: 'fd00:10:96::1', gateway: 'fd00:10:96::2' },
  { folder: 'vmconfig-nil-proxy-metadata', revision: 'default', address: '10.10.10.10', gateway: undefined },
];

describe.each(cases)('istioctl case $folder', ({ folder, revision, address, gateway }) => {
  const group = parse(read(folder, 'workloadgroup.yaml')) as Pick<FoundWorkloadGroup, 'spec'>;
  const cluster: ClusterFacts = {
    namespaceExists: true,
    namespaceIsAmbient: false,
    workloadGroup: { isOurs: false, annotations: {}, spec: group.spec },
    serviceAccountExists: true,
    objects: [],
    clusterId: 'Kubernetes',
    ...(gateway === undefined ? {} : { gateway: { ip: gateway } }),
  };
  const request: OnboardMachine = {
    name: 'vm-1',
    namespace: 'bar',
    workloadGroup: 'foo',
    host: { address, user: 'ops', credentialsName: 'key', hostKey: { trustOnFirstUse: true } },
  };
  const rendered = renderMachineFiles({
    request,
    cluster: {
      ...cluster,
      revision: { name: revision, version: '1.30.0', readyReplicas: 1 },
      meshConfig: folder.startsWith('ip') ? read(folder, 'meshconfig.yaml') : 'defaultConfig: {}',
      rootCertificate: 'fake-CA-cert',
    },
    machine: {
      hostKeyFingerprint: 'SHA256:any',
      hostname: 'vm-1',
      addresses: [address],
      ownAddress: address,
      sshdPorts: [22, 2222],
    },
  });
  const file = (path: string): string | undefined =>
    rendered.files.find((candidate) => candidate.path === path)?.content;
  const differences: Differences = {
    machine: 'vm-1',
    group: 'foo',
    revision,
    istioNamespace: 'istio-system',
    address,
    sshdPorts: [22, 2222],
    // Istio's mesh of these two cases sets it.
    ...(folder.startsWith('ip') ? { dnsCapture: 'false' } : {}),
  };

  test('cluster.env is istioctl’s byte for byte but for the listed differences', () => {
    const istioctl = autoregistered(read(folder, 'cluster.env.golden'), 'env');
    expect(file('/var/lib/istio/envoy/cluster.env')).toBe(clusterEnvWithDifferences(istioctl, differences));
  });

  test('mesh.yaml is istioctl’s byte for byte but for the listed differences', () => {
    const istioctl = autoregistered(read(folder, 'mesh.yaml.golden'), 'yaml');
    expect(file('/etc/istio/config/mesh')).toBe(meshConfigWithDifferences(istioctl, differences));
  });

  test('the lines for /etc/hosts and the root certificate are istioctl’s', () => {
    expect(rendered.hostsLines.map((line) => `${line}\n`).join('')).toBe(read(folder, 'hosts.golden'));
    expect(file('/etc/certs/root-cert.pem')).toBe('fake-CA-cert');
  });
});
