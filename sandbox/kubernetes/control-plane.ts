/** etcd and the Kubernetes control plane as processes of the host, on loopback but for the API server, which the pods reach on their bridge. */
import { join } from 'node:path';

import { cluster, ports, RUN } from '../layout.ts';
import { nodeToolsFolder } from '../parts/debian.ts';
import { goBuild } from '../parts/go-builds.ts';
import { start, waitUntilReady } from '../processes.ts';
import { writeAdminKubeconfig, writeKubeconfig } from './kubeconfig.ts';
import { kubectl } from './kubectl.ts';
import { auditFlags } from './audit.ts';
import { certificateFile, ensurePki, keyFile, serviceAccountKey } from './pki.ts';

const etcdUrl = `http://127.0.0.1:${ports.etcd}`;
const etcdPeerUrl = `http://127.0.0.1:${ports.etcdPeer}`;

/** Resolves once the API server answers ready and the controllers work. */
export async function startControlPlane(): Promise<void> {
  const [binaries, tools] = await Promise.all([goBuild('kubernetes'), nodeToolsFolder(), ensurePki()]);
  writeAdminKubeconfig();
  startEtcd(tools);
  const apiServer = startApiServer(binaries);
  await waitUntilReady({ name: 'kube-apiserver', pid: apiServer }, 60_000, isApiServerReady);
  // The others end at once when the API server has not made their roles yet.
  const controllers = startControllerManager(binaries);
  startScheduler(binaries);
  await waitUntilReady({ name: 'kube-controller-manager', pid: controllers }, 60_000, haveControllersWorked);
}

const isApiServerReady = async (): Promise<boolean> => (await kubectl(['get', '--raw', '/readyz'])) === 'ok';
/** Making every namespace's default service account is among the first things they do. */
const haveControllersWorked = async (): Promise<boolean> =>
  (await kubectl(['get', 'serviceaccount', 'default', '-n', 'default', '--ignore-not-found', '-o', 'name'])) !== '';

function startEtcd(tools: string): void {
  // Nothing outlives `down`, so waiting for the disk buys nothing.
  const args = [
    ...[
      '--data-dir',
      join(RUN, 'etcd'),
      '--unsafe-no-fsync',
      '--listen-client-urls',
      etcdUrl,
      '--advertise-client-urls',
      etcdUrl,
    ],
    ...[
      '--listen-peer-urls',
      etcdPeerUrl,
      '--initial-advertise-peer-urls',
      etcdPeerUrl,
      '--initial-cluster',
      `default=${etcdPeerUrl}`,
    ],
  ];
  start({ name: 'etcd', file: join(tools, 'bin', 'etcd'), args });
}

function startApiServer(binaries: string): number {
  const flags = {
    'etcd-servers': etcdUrl,
    'bind-address': cluster.podGateway,
    'advertise-address': cluster.podGateway,
    'secure-port': String(ports.apiServer),
    'authorization-mode': 'Node,RBAC',
    'enable-admission-plugins': 'NodeRestriction',
    'allow-privileged': 'true',
    'service-cluster-ip-range': cluster.serviceCidr,
    'service-account-issuer': `https://kubernetes.default.svc`,
    'service-account-key-file': serviceAccountKey.public,
    'service-account-signing-key-file': serviceAccountKey.private,
    'api-audiences': 'https://kubernetes.default.svc,istio-ca',
    'client-ca-file': certificateFile('ca'),
    'tls-cert-file': certificateFile('apiserver'),
    'tls-private-key-file': keyFile('apiserver'),
    'cert-dir': join(RUN, 'pki'),
    'kubelet-client-certificate': certificateFile('apiserver-kubelet-client'),
    'kubelet-client-key': keyFile('apiserver-kubelet-client'),
    'kubelet-preferred-address-types': 'InternalIP',
    ...auditFlags(),
  };
  return start({ name: 'kube-apiserver', file: join(binaries, 'kube-apiserver'), args: asFlags(flags) });
}

function startControllerManager(binaries: string): number {
  const kubeconfig = writeKubeconfig('controller-manager');
  const flags = {
    kubeconfig,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'bind-address': '127.0.0.1',
    'cert-dir': join(RUN, 'pki', 'controller-manager'),
    'flex-volume-plugin-dir': join(RUN, 'kube-controller-manager', 'volume-plugins'),
    'leader-elect': 'false',
    'use-service-account-credentials': 'true',
    'root-ca-file': certificateFile('ca'),
    'service-account-private-key-file': serviceAccountKey.private,
    'cluster-signing-cert-file': certificateFile('ca'),
    'cluster-signing-key-file': keyFile('ca'),
  };
  return start({
    name: 'kube-controller-manager',
    file: join(binaries, 'kube-controller-manager'),
    args: asFlags(flags),
  });
}

function startScheduler(binaries: string): void {
  const kubeconfig = writeKubeconfig('scheduler');
  const flags = {
    kubeconfig,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'bind-address': '127.0.0.1',
    'cert-dir': join(RUN, 'pki', 'scheduler'),
    'leader-elect': 'false',
  };
  start({ name: 'kube-scheduler', file: join(binaries, 'kube-scheduler'), args: asFlags(flags) });
}

const asFlags = (flags: Readonly<Record<string, string>>): string[] =>
  Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
