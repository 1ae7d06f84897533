/** Joins the adapters to the ports: the one place that knows both. Nothing connects here. */
import { KubeConfig } from '@kubernetes/client-node';

import { IstioMesh } from '../activities/adapters/istio-mesh.ts';
import { KubernetesCluster } from '../activities/adapters/kubernetes-cluster.ts';
import { KubernetesCutover } from '../activities/adapters/kubernetes-cutover.ts';
import { PrometheusMetrics } from '../activities/adapters/prometheus-metrics.ts';
import { PackageSource } from '../activities/adapters/package-source.ts';
import type { ReadCredential } from '../activities/adapters/ssh-connection.ts';
import { sshHostPort } from '../activities/adapters/ssh-host.ts';
import type { Ports } from '../activities/index.ts';
import type { WorkerConfig } from './config.ts';

type PortsConfig = Pick<WorkerConfig, 'istioNamespace' | 'meshliftNamespace' | 'packages' | 'hostCidrs' | 'prometheus'>;

/**
 * The cluster comes from the kubeconfig chain: KUBECONFIG, the home directory, or the pod's own account. A login is the Secret
 * that a request names, unless `readCredential` says otherwise.
 */
export function createPorts(config: PortsConfig, readCredential?: ReadCredential): Ports {
  const { istioNamespace, meshliftNamespace, packages, hostCidrs, prometheus } = config;
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromDefault();
  const cluster = new KubernetesCluster(kubeConfig, { istioNamespace, meshliftNamespace });
  return {
    cluster,
    cutover: new KubernetesCutover(kubeConfig, { istioNamespace }),
    host: sshHostPort(readCredential ?? ((credentialsName) => cluster.readSshCredential(credentialsName))),
    mesh: new IstioMesh(kubeConfig, { istioNamespace }),
    metrics: new PrometheusMetrics(prometheus),
    packages: new PackageSource(packages),
    ...(hostCidrs === undefined ? {} : { hostCidrs }),
  };
}
