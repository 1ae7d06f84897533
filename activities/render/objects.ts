/** The machine's objects in the cluster at `enforcement: observe`: they change nothing for any pod and refuse no caller. */
import type { ClusterFacts, KubernetesObject } from '../ports/cluster-port.ts';
import { groupLabel, groupLabelValue, machineLabel, machineObjectName, managedByLabel, manager } from './names.ts';
import type { Group } from './workload-group.ts';

/**
 * In the order in which they are applied. The machine's own come first: whoever removes the group as its last machine sees by them
 * that it is not. Then the group, because an account that no group names may be removed. A WorkloadGroup or ServiceAccount that
 * someone else made is left alone; one of ours is named again.
 */
export function renderObjects(
  machine: string,
  group: Group,
  cluster: Pick<ClusterFacts, 'workloadGroup' | 'serviceAccountExists' | 'objects'>,
): readonly KubernetesObject[] {
  const isOurAccount = cluster.objects.some(
    ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === group.serviceAccount,
  );
  return [
    peerAuthentication(machine, group),
    sidecar(machine, group),
    ...(cluster.workloadGroup !== undefined && !cluster.workloadGroup.isOurs ? [] : [workloadGroup(group)]),
    ...(cluster.serviceAccountExists && !isOurAccount ? [] : [serviceAccount(group)]),
  ];
}

const groupLabels = (group: Group): Readonly<Record<string, string>> => ({
  [managedByLabel]: manager,
  [groupLabel]: groupLabelValue(group.name),
});

function serviceAccount(group: Group): KubernetesObject {
  const { namespace, serviceAccount: name } = group;
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace, labels: { [managedByLabel]: manager } },
  };
}

function workloadGroup(group: Group): KubernetesObject {
  const { name, namespace, spec } = group;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadGroup',
    metadata: { name, namespace, labels: groupLabels(group) },
    spec,
  };
}

const machineMetadata = (machine: string, group: Group): KubernetesObject['metadata'] => ({
  name: machineObjectName(machine),
  namespace: group.namespace,
  labels: { ...groupLabels(group), [machineLabel]: machine },
});

/** Takes mTLS and plaintext alike; without it a mesh-wide STRICT would cut the callers of today. */
function peerAuthentication(machine: string, group: Group): KubernetesObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: machineMetadata(machine, group),
    spec: { selector: { matchLabels: { [machineLabel]: machine } }, mtls: { mode: 'PERMISSIVE' } },
  };
}

/** The machine is told of its own namespace's services only; everything else it reaches as before. */
function sidecar(machine: string, group: Group): KubernetesObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: machineMetadata(machine, group),
    spec: {
      workloadSelector: { labels: { [machineLabel]: machine } },
      egress: [{ hosts: ['./*'] }],
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
    },
  };
}
