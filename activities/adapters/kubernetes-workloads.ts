/** What a migration has to know of a Deployment and of pods, from what the Kubernetes API says of them. */
import type { V1Container, V1ContainerStateWaiting, V1Pod, V1PodTemplateSpec } from '@kubernetes/client-node';

import type { FoundDeployment, FoundPod } from '../ports/cutover-port.ts';
import { gitOpsOf } from './gitops-marks.ts';
import type { DeploymentLike } from './kubernetes-manifests.ts';
import { needsOf } from './pod-resources.ts';

export function deploymentOf({ metadata, spec, status }: DeploymentLike, isInjected: boolean): FoundDeployment {
  const template: V1PodTemplateSpec | undefined = spec?.template;
  return {
    replicas: spec?.replicas ?? 1,
    readyReplicas: status?.readyReplicas ?? 0,
    gitOps: gitOpsOf(metadata ?? {}),
    labels: template?.metadata?.labels ?? {},
    isInjected,
    serviceAccount: template?.spec?.serviceAccountName ?? 'default',
    containers: (template?.spec?.containers ?? []).map(containerOf),
    ...(template?.spec === undefined ? {} : { needs: needsOf(template.spec) }),
  };
}

const containerOf = ({ name, image = '', ports = [], readinessProbe }: V1Container) => ({
  name,
  image,
  ports: ports.map((port) => ({ ...(port.name === undefined ? {} : { name: port.name }), port: port.containerPort })),
  hasReadinessProbe: readinessProbe !== undefined,
});

export function podOf({ metadata, status }: V1Pod): FoundPod {
  const states = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  const unschedulable = status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  return {
    name: metadata?.name ?? '',
    ...(status?.podIP === undefined ? {} : { address: status.podIP }),
    isReady: status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false,
    isEnding: metadata?.deletionTimestamp !== undefined,
    waiting: [
      ...(unschedulable === undefined ? [] : [`${unschedulable.reason ?? ''}: ${unschedulable.message ?? ''}`]),
      ...states.flatMap(({ name, state }) => waitsFor(name, state?.waiting)),
    ],
  };
}

function waitsFor(container: string, waiting: V1ContainerStateWaiting | undefined): readonly string[] {
  if (waiting?.reason === undefined || waiting.reason === 'PodInitializing') return [];
  return [`${container}: ${waiting.reason}${waiting.message === undefined ? '' : ` (${waiting.message})`}`];
}
