/** The product's ports for the lab: its own SSH adapter for the machines, and a cluster that always says the same. */
import { sshHostPort } from '../../activities/adapters/ssh-host.ts';
import type { Ports } from '../../activities/index.ts';
import type { ClusterFacts, ClusterPort } from '../../activities/ports/cluster-port.ts';
import type { CutoverPort } from '../../activities/ports/cutover-port.ts';
import type { MeshPort } from '../../activities/ports/mesh-port.ts';
import type { MetricsPort } from '../../activities/ports/metrics-port.ts';
import type { PackagePort } from '../../activities/ports/package-port.ts';
import { login } from './parts.ts';

export const namespace = 'bench';
export const credentialsName = 'bench-login';

const line = 'MIIBszCCAVqgAwIBAgIRANoW5bL1n0Fh2fJ8Y1Q2b0swCgYIKoZIzj0EAwIwGDEW';
const certificate = `-----BEGIN CERTIFICATE-----\n${`${line}\n`.repeat(16)}-----END CERTIFICATE-----\n`;

/** As large as the token of a ServiceAccount. */
export const token = `eyJhbGciOiJSUzI1NiJ9.${'meshlift-bench'.repeat(70)}.signature`;

export const cluster: ClusterFacts & Required<Pick<ClusterFacts, 'revision' | 'meshConfig' | 'rootCertificate'>> = {
  namespaceExists: true,
  namespaceIsAmbient: false,
  serviceAccountExists: true,
  revision: { name: '1-30-0', version: '1.30.0', readyReplicas: 1 },
  meshConfig: 'trustDomain: cluster.local\ndefaultConfig: {meshId: mesh-1}\n',
  clusterId: 'Kubernetes',
  rootCertificate: certificate,
  gateway: { ip: '192.0.2.1' },
  objects: [],
  policies: [],
};

const anyLoopback = {
  name: 'bench',
  namespaces: [namespace],
  cidrs: ['127.0.0.0/8'],
  hostKeys: [],
  credentials: [credentialsName],
  users: [login.user],
};

export function labPorts(privateKey: string): Ports {
  return {
    host: sshHostPort(() => Promise.resolve({ privateKey })),
    cluster: {
      readHostPolicies: () => Promise.resolve([anyLoopback]),
      issueToken: () => Promise.resolve({ token, expiresAt: '2099-01-01T00:00:00Z' }),
    } as unknown as ClusterPort,
    cutover: {} as CutoverPort,
    mesh: {} as MeshPort,
    metrics: {} as MetricsPort,
    packages: {} as PackagePort,
  };
}
