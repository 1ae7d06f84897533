/** Joins the adapters to the ports: the one place that knows both. Nothing connects here. */
import { KubeConfig } from '@kubernetes/client-node';

import { IstioMesh } from '../activities/adapters/istio-mesh.ts';
import { KubernetesCluster } from '../activities/adapters/kubernetes-cluster.ts';
import { PackageSource } from '../activities/adapters/package-source.ts';
import { sshHostPort } from '../activities/adapters/ssh-host.ts';
import type { Ports } from '../activities/index.ts';
import type { WorkerConfig } from './config.ts';

/** The cluster comes from the kubeconfig chain: KUBECONFIG, the home directory, or the pod's own account. */
export function createPorts({ istioNamespace, meshliftNamespace, packages }: WorkerConfig): Ports {
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  const cluster = new KubernetesCluster(kubeConfig, { istioNamespace, meshliftNamespace });
  return {
    cluster,
    host: sshHostPort((credentialsName) => cluster.readSshCredential(credentialsName)),
    mesh: new IstioMesh(kubeConfig, { istioNamespace }),
    packages: new PackageSource(packages),
  };
}
