/** What must be true of the cluster, its control plane and the namespace before a machine can join. */
import { machineGroup } from '../../activities/render/workload-group.ts';
import { msOf } from './instants.ts';
import { differences } from './says-same.ts';
import type { PlanInput } from './plan-input.ts';
import { fails, holds } from './verdicts.ts';
import type { Check } from './verdicts.ts';

const namespaceExists: Check = ({ cluster, request: { namespace } }) => {
  if (!cluster) return undefined;
  return cluster.namespaceExists
    ? holds('NamespaceExists', `Namespace ${namespace} exists`)
    : fails(
        'NamespaceExists',
        'NamespaceMissing',
        `Namespace ${namespace} does not exist; create it, or correct the request`,
      );
};

/** The mesh's part of a namespace is judged only where the namespace is there: one fault, one finding. */
const found = ({ cluster }: PlanInput) => (cluster?.namespaceExists === true ? cluster : undefined);

const sidecarMode: Check = (input) => {
  const cluster = found(input);
  const { namespace } = input.request;
  return cluster?.namespaceIsAmbient === true
    ? fails(
        'SidecarMode',
        'NamespaceIsAmbient',
        `Namespace ${namespace} is in ambient mode, which knows no machines with a sidecar; use another namespace or remove its label istio.io/dataplane-mode`,
      )
    : cluster && holds('SidecarMode', `Namespace ${namespace} is not in ambient mode`);
};

const workloadGroupFound: Check = (input) => {
  const cluster = found(input);
  if (!cluster) return undefined;
  const { namespace, workloadGroup, workload } = input.request;
  const group = `WorkloadGroup ${namespace}/${workloadGroup}`;
  if (!cluster.workloadGroup) {
    return workload
      ? holds('WorkloadGroupFound', `${group} does not exist yet and is created from the request's workload`)
      : fails(
          'WorkloadGroupFound',
          'WorkloadGroupMissing',
          `${group} does not exist; create it, or give its labels and ports in workload`,
        );
  }
  const { probe, metadata, template = {} } = cluster.workloadGroup.spec;
  // istiod gives an entry the labels of both places, the template's above.
  const labels = { ...metadata?.labels, ...template.labels };
  const differing = differences({ ...template, labels, ...(probe ? { probe } : {}) }, workload ?? {});
  return differing.length === 0
    ? holds('WorkloadGroupFound', `${group} exists`)
    : fails(
        'WorkloadGroupFound',
        'WorkloadGroupDiffers',
        `${group} exists and differs from the request's workload in ${differing.join(', ')}; change the group, or leave workload out`,
      );
};

const revisionKnown: Check = ({ cluster, request }) => {
  if (!cluster) return undefined;
  const asked = request.revision === undefined ? 'The default revision' : `Revision ${request.revision}`;
  return cluster.revision
    ? holds('RevisionKnown', `${asked} is ${cluster.revision.name} at version ${cluster.revision.version}`)
    : fails(
        'RevisionKnown',
        'RevisionUnknown',
        `${asked} has no istiod in this cluster; name one that istioctl tag list or kubectl get deploy -l app=istiod shows`,
      );
};

const istiodReady: Check = ({ cluster }) => {
  if (!cluster?.revision) return undefined;
  const { name, readyReplicas } = cluster.revision;
  return readyReplicas > 0
    ? holds('IstiodReady', `istiod of revision ${name} has ${readyReplicas} ready`)
    : fails(
        'IstiodReady',
        'IstiodNotReady',
        `istiod of revision ${name} has no ready replica; see kubectl describe deploy of it`,
      );
};

const serviceAccountFound: Check = (input) => {
  const cluster = found(input);
  if (!cluster) return undefined;
  const { namespace, serviceAccount } = machineGroup(input.request, cluster.workloadGroup);
  const account = `ServiceAccount ${namespace}/${serviceAccount}`;
  return holds('ServiceAccountFound', `${account} ${cluster.serviceAccountExists ? 'exists' : 'is created'}`);
};

const rootCertificatePresent: Check = (input) => {
  const cluster = found(input);
  if (!cluster) return undefined;
  const { namespace } = input.request;
  const configMap = `ConfigMap ${namespace}/istio-ca-root-cert`;
  const fault = (reason: string, what: string) =>
    fails(
      'RootCertificatePresent',
      reason,
      `${configMap} ${what}; see why istiod does not write it (its logs, discovery selectors)`,
    );
  if (!cluster.rootCertificate) return fault('RootCertificateMissing', 'has no root-cert.pem');
  const until = cluster.rootCertificateExpiresAt;
  if (until === undefined) return fault('RootCertificateUnreadable', 'holds no certificate that can be read');
  if (input.machine && msOf(until) <= msOf(input.machine.workerTime)) {
    return fault('RootCertificateExpired', `holds a certificate that ran out at ${until}`);
  }
  return holds('RootCertificatePresent', `${configMap} holds istiod's root certificate, valid until ${until}`);
};

const gatewayAddressKnown: Check = ({ cluster }) => {
  if (!cluster) return undefined;
  const { gateway } = cluster;
  const service = 'Service istio-eastwestgateway';
  if (!gateway) {
    return fails(
      'GatewayAddressKnown',
      'GatewayAddressMissing',
      `${service} has no load balancer address and no external IP, so machines cannot reach istiod; install the gateway or give it one`,
    );
  }
  if (gateway.ip === undefined && (gateway.resolved ?? []).length === 0) {
    return fails(
      'GatewayAddressKnown',
      'GatewayNameUnresolved',
      `${service} is at ${gateway.hostname ?? 'a name'}, which does not resolve; see its DNS record`,
    );
  }
  return holds('GatewayAddressKnown', `${service} is at ${gateway.ip ?? gateway.hostname ?? ''}`);
};

export const clusterChecks: readonly Check[] = [
  namespaceExists,
  sidecarMode,
  workloadGroupFound,
  serviceAccountFound,
  revisionKnown,
  istiodReady,
  rootCertificatePresent,
  gatewayAddressKnown,
];
