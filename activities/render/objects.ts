/**
 * The machine's objects in the cluster. At `observe` they change nothing for any pod and refuse no caller; at `enforce` the machine
 * takes calls of its own namespace alone, over mTLS, and calls only what that namespace declares.
 */
import type { Enforcement } from '../../api/schemas/verbs.ts';
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
  enforcement: Enforcement = 'observe',
  excludedPorts: readonly number[] = [],
): readonly KubernetesObject[] {
  const isOurAccount = cluster.objects.some(
    ({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === group.serviceAccount,
  );
  return [
    peerAuthentication(machine, group, enforcement, excludedPorts),
    sidecar(machine, group, enforcement),
    ...(enforcement === 'enforce' ? [authorizationPolicy(machine, group)] : []),
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

/**
 * PERMISSIVE takes mTLS and plaintext alike; without it a mesh-wide STRICT would cut the callers of today. Where no proxy is in the
 * way callers of the mesh are told to speak plaintext too, or their TLS would meet the application.
 */
function peerAuthentication(
  machine: string,
  group: Group,
  enforcement: Enforcement,
  excludedPorts: readonly number[],
): KubernetesObject {
  const mode = enforcement === 'enforce' ? 'STRICT' : 'PERMISSIVE';
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: machineMetadata(machine, group),
    spec: {
      selector: { matchLabels: { [machineLabel]: machine } },
      mtls: { mode },
      ...(excludedPorts.length === 0
        ? {}
        : { portLevelMtls: Object.fromEntries(excludedPorts.map((port) => [String(port), { mode: 'DISABLE' }])) }),
    },
  };
}

/** The machine is told of its own namespace's services only; everything else it reaches as before, or not at all. */
function sidecar(machine: string, group: Group, enforcement: Enforcement): KubernetesObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Sidecar',
    metadata: machineMetadata(machine, group),
    spec: {
      workloadSelector: { labels: { [machineLabel]: machine } },
      egress: [{ hosts: ['./*'] }],
      outboundTrafficPolicy: { mode: enforcement === 'enforce' ? 'REGISTRY_ONLY' : 'ALLOW_ANY' },
    },
  };
}

/** Allows the own namespace and so refuses everybody else; further policies of the namespace may allow more. */
function authorizationPolicy(machine: string, group: Group): KubernetesObject {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: machineMetadata(machine, group),
    spec: {
      selector: { matchLabels: { [machineLabel]: machine } },
      action: 'ALLOW',
      rules: [{ from: [{ source: { namespaces: [group.namespace] } }] }],
    },
  };
}
