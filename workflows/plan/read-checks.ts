/** What could be read, and if not, why: a failed read becomes the condition that names its cure. */
import type { Condition } from '../../api/schemas/common.ts';
import type { FactFailure, PlanInput } from './plan-input.ts';
import { fails, holds, unknown } from './verdicts.ts';
import type { Check, Verdict } from './verdicts.ts';

/** Failure type of a read -> the claim that does not hold then. */
const claimOf: Readonly<Record<string, string>> = {
  HostNotAllowed: 'HostAllowed',
  HostUnreachable: 'Reachable',
  TimedOut: 'Reachable',
  HostKeyMismatch: 'HostKeyTrusted',
  HostAuthRejected: 'LoginAccepted',
  CredentialMissing: 'CredentialFound',
  SudoRefused: 'SudoAllowed',
  HostCommandFailed: 'Inspectable',
  HostDiskFull: 'DiskSpace',
  NamespaceMissing: 'NamespaceExists',
  ClusterUnreachable: 'ClusterReadable',
  ClusterForbidden: 'ClusterReadable',
  MeshConfigInvalid: 'MeshConfigValid',
  PackageMissing: 'PackageAvailable',
  PackageChecksumWrong: 'PackageAvailable',
  PackageSourceUnreachable: 'PackageAvailable',
};

function failedRead({ type, message }: FactFailure, claim: string): Verdict {
  return fails(claimOf[type] ?? claim, type, message);
}

const machineReadable: Check = ({ failures: { machine }, request: { host } }) => {
  if (machine?.type !== 'TimedOut') return machine && failedRead(machine, 'Inspectable');
  const message = `${host.user}@${host.address} did not answer in time; check address, port and firewall`;
  return failedRead({ ...machine, message }, 'Reachable');
};

const reachable: Check = ({ machine, request: { host } }) =>
  machine &&
  holds(
    'Reachable',
    `SSH to ${host.user}@${host.address} answers${host.jump ? `, over ${host.jump.user}@${host.jump.address}` : ''}`,
  );

const hostKeyTrusted: Check = ({ machine, request: { host } }) =>
  machine && holds('HostKeyTrusted', `${host.address} shows the host key ${machine.hostKeyFingerprint}`);

const loginAccepted: Check = ({ machine, request: { host } }) =>
  machine && holds('LoginAccepted', `${host.address} takes the key of ${host.user}`);

const sudoAllowed: Check = ({ machine, request: { host } }) =>
  machine &&
  holds(
    'SudoAllowed',
    host.user === 'root' ? 'The login is root' : `${host.user} may run sudo without a password on ${host.address}`,
  );

const clusterReadable: Check = ({ failures, cluster }) => {
  if (failures.cluster?.type === 'TimedOut') {
    return fails('ClusterReadable', 'TimedOut', failures.cluster.message);
  }
  return failures.cluster
    ? failedRead(failures.cluster, 'ClusterReadable')
    : cluster && holds('ClusterReadable', 'The Kubernetes API answers');
};

const meshConfigValid: Check = ({ failures }) => failures.render && failedRead(failures.render, 'MeshConfigValid');

const packageAvailable: Check = ({ failures, cluster, machine }) => {
  if (failures.package?.type === 'PackageSourceUnreachable' || failures.package?.type === 'TimedOut') {
    return unknown('PackageAvailable', failures.package.type, failures.package.message);
  }
  if (failures.package?.type === 'PackageSourceUnset') {
    return unknown('PackageAvailable', failures.package.type, failures.package.message, 'Advisory');
  }
  if (failures.package) return failedRead(failures.package, 'PackageAvailable');
  if (!cluster?.revision || !machine) return undefined;
  return holds('PackageAvailable', `istio-sidecar ${cluster.revision.version} is there for ${machine.architecture}`);
};

export const readChecks: readonly Check[] = [
  machineReadable,
  reachable,
  hostKeyTrusted,
  loginAccepted,
  sudoAllowed,
  clusterReadable,
  meshConfigValid,
  packageAvailable,
];

/** Only what could be read and what could not: an offboarding demands no more. */
export function readConditions(input: PlanInput, now: string): Condition[] {
  return readChecks.flatMap((check) => {
    const verdict = check(input);
    return verdict ? [{ ...verdict, lastTransitionTime: now }] : [];
  });
}

/** Of an offboarding that was forced: the machine keeps what it was given. */
export function notTouched({ namespace, name }: PlanInput['request']): Verdict {
  return fails(
    'MachineRestored',
    'NotTouched',
    `${namespace}/${name} keeps Meshlift's files, proxy and redirection; where it comes back, run sudo sh /var/lib/meshlift/undo.sh there`,
    'Warning',
  );
}
