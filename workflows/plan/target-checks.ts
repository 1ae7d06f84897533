/** The part of a migration's preflight that judges where the workload goes: the Deployment and its pods. */
import { describeObject } from '../../activities/render/object-ref.ts';
import { deploymentOf, manifestsOf, misnamed, replicasAsked } from './migration-target.ts';
import type { CutoverCheck, CutoverInput } from './cutover-checks.ts';
import { fails, holds, listed } from './verdicts.ts';

/** What is there already belongs to somebody: a run takes nothing over, and so has nothing of theirs to delete. */
const manifestsTaken: CutoverCheck = ({ request: { namespace, name, target }, facts: { manifests = [] } }) => {
  if (manifestsOf(target).length === 0) return undefined;
  const type = 'ManifestsTaken';
  const elsewhere = manifestsOf(target).filter(({ metadata }) => (metadata.namespace ?? namespace) !== namespace);
  if (elsewhere.length > 0) {
    const named = listed(elsewhere.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`));
    return fails(type, 'OtherNamespace', `${named} are of another namespace than the migration; leave namespace out`);
  }
  const unknown = misnamed(target).map(({ apiVersion, kind }) => `${kind} of ${apiVersion}`);
  if (unknown.length > 0) {
    return fails(
      type,
      'KindUnknown',
      `There is no ${listed(unknown)}; a Deployment is of apps/v1, the others are of v1`,
    );
  }
  const names = manifestsOf(target).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  const twice = names.filter((one, index) => names.indexOf(one) !== index);
  if (twice.length > 0) return fails(type, 'ManifestTwice', `The manifests hold ${listed(twice)} more than once`);
  const others = manifests.filter(({ isThere, migration }) => isThere && migration !== name);
  if (others.length > 0) {
    const cure = 'leave it out of the manifests; a Deployment is named as target.deployment instead';
    return fails(type, 'ObjectExists', `${listed(others.map(({ ref }) => describeObject(ref)))} exists: ${cure}`);
  }
  const faults = manifests.flatMap(({ fault }) => fault ?? []);
  if (faults.length > 0) {
    const isForbidden = faults.some((fault) => fault.type === 'ClusterForbidden');
    const cure = isForbidden ? `; bind ClusterRole meshlift-manifests in namespace ${namespace}` : '';
    return fails(type, 'ManifestRefused', `${faults.map(({ message }) => message).join('; ')}${cure}`);
  }
  return holds(type, `The cluster takes ${listed(manifests.map(({ ref }) => describeObject(ref)))}`);
};

const deploymentExists: CutoverCheck = ({ request: { namespace, target, gitops }, facts }) => {
  const type = 'TargetFound';
  const place = `Deployment ${namespace}/${deploymentOf(target)}`;
  const { deployment } = facts;
  if (deployment === undefined) {
    // Of manifests that are not taken, manifestsTaken says why.
    if (manifestsOf(target).length > 0) return undefined;
    return fails(type, 'DeploymentMissing', `${place} does not exist; create it with replicas: 0`);
  }
  if (deployment.gitOps.length > 0 && gitops !== 'paused') {
    return fails(
      type,
      'ManagedByGitOps',
      `${place} is managed by ${listed(deployment.gitOps)}, which would put its replicas back; let it ignore them, or pause it, and say so with gitops: paused`,
    );
  }
  if (!deployment.isInjected) {
    return fails(
      type,
      'NoProxyInjected',
      `Pods of ${place} get no proxy; label namespace ${namespace} with istio.io/rev, and remove sidecar.istio.io/inject: "false"`,
    );
  }
  return holds(type, `${place} is there`);
};

const podsDoNotServeYet: CutoverCheck = ({ request: { namespace, target }, facts: { deployment, objects } }) => {
  if (deployment === undefined) return undefined;
  const type = 'PodsNotServing';
  const place = `Deployment ${namespace}/${deploymentOf(target)}`;
  if (deployment.replicas > 0 && objects.length === 0) {
    return fails(
      type,
      'PodsServeAlready',
      `${place} has ${deployment.replicas} replicas, which take their share of the traffic already; scale it to 0 first`,
    );
  }
  return holds(type, `${place} starts with the migration`);
};

const portsServed: CutoverCheck = ({ request: { service, target }, facts: { deployment, ...facts } }) => {
  if (facts.service === undefined || deployment === undefined) return undefined;
  const type = 'PortsServed';
  const ports = deployment.containers.flatMap((container) => container.ports);
  // A container may listen on ports that it does not list: only names have to be there.
  const missing = facts.service.ports.filter(
    ({ targetPort }) => typeof targetPort === 'string' && !ports.some(({ name }) => name === targetPort),
  );
  if (missing.length > 0) {
    return fails(
      type,
      'PortMissing',
      `Service ${service} sends to ports ${listed(missing.map(({ targetPort }) => String(targetPort)))}, and no container of Deployment ${deploymentOf(target)} has one of that name`,
    );
  }
  const listens = (port: number): boolean => ports.some((one) => one.port === port);
  const unlisted = facts.service.ports.filter(
    ({ port, targetPort = port }) => typeof targetPort === 'number' && !listens(targetPort),
  );
  if (unlisted.length > 0) {
    return fails(
      type,
      'PortNotListed',
      `No container of Deployment ${deploymentOf(target)} lists port ${listed(unlisted.map(({ port, targetPort = port }) => String(targetPort)))}, to which Service ${service} sends; check that it listens there`,
      'Warning',
    );
  }
  return holds(type, `Pods have every port that Service ${service} sends to`);
};

const readinessProbed: CutoverCheck = ({ request: { target }, facts: { deployment } }) => {
  if (deployment === undefined) return undefined;
  const type = 'ReadinessProbed';
  if (deployment.containers.some(({ hasReadinessProbe }) => hasReadinessProbe)) {
    return holds(type, `Pods of Deployment ${deploymentOf(target)} say when they are ready`);
  }
  return fails(
    type,
    'NoReadinessProbe',
    `Pods of Deployment ${deploymentOf(target)} get traffic as soon as they run: no container has a readinessProbe; give the one that serves one`,
  );
};

const sameAccount: CutoverCheck = ({ request: { target, workloadGroup }, facts: { deployment, group } }) => {
  if (deployment === undefined || group === undefined) return undefined;
  const type = 'SameIdentity';
  const ofMachines = group.spec.template?.serviceAccount ?? 'default';
  if (deployment.serviceAccount === ofMachines) return holds(type, `Both run as ${ofMachines}`, 'Warning');
  return fails(
    type,
    'OtherServiceAccount',
    `Pods of Deployment ${deploymentOf(target)} run as ${deployment.serviceAccount}, machines of WorkloadGroup ${workloadGroup} as ${ofMachines}; policies that name one do not hold for the other`,
    'Warning',
  );
};

export const targetChecks: readonly CutoverCheck[] = [
  manifestsTaken,
  deploymentExists,
  podsDoNotServeYet,
  portsServed,
  readinessProbed,
  sameAccount,
];

/** As many pods as there are machines, unless the request or its manifest says otherwise. */
export function replicasOf({ request: { target }, facts }: CutoverInput): number {
  return replicasAsked(target) ?? Math.max(1, facts.entries.length);
}
