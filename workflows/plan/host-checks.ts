/** Whether the host is this machine's to take: allowed by a HostPolicy, and no other machine's. */
import { hostPlace } from '../../activities/render/host-identity.ts';
import { hostKeyAnnotation, hostPlaceAnnotation, machineLabel } from '../../activities/render/names.ts';
import { fails, holds } from './verdicts.ts';
import type { Check } from './verdicts.ts';

/** A host that is not allowed was not connected to: that read's failure says so (see read-checks). */
const hostAllowed: Check = ({ machine, request: { namespace, host } }) =>
  machine && holds('HostAllowed', `A HostPolicy lets namespace ${namespace} use ${host.user}@${host.address}`);

const hostUnique: Check = ({ machine, sharing, request: { namespace, name, host } }) => {
  if (!machine) return undefined;
  const { owner } = machine.journal;
  // Whose a host of another namespace is, is not this caller's to know.
  const describe = (other: string): string =>
    other.startsWith(`${namespace}/`) ? `machine ${other}` : 'a machine of another namespace';
  if (owner !== undefined && owner !== `${namespace}/${name}`) {
    return fails(
      'HostUnique',
      'HostOwnedByOther',
      `${host.address} is ${describe(owner)} already, as /var/lib/meshlift/owner there says; offboard that one first`,
    );
  }
  const [other] = sharing ?? [];
  if (other) {
    const shared = other.hostKey === machine.hostKeyFingerprint ? 'the host key' : 'the address';
    return fails(
      'HostUnique',
      'HostOfOtherMachine',
      `${host.address} has ${shared} of ${describe(`${other.namespace}/${other.name}`)}; correct the request, offboard that one first, or give the host a key of its own (ssh-keygen -A)`,
    );
  }
  return sharing && holds('HostUnique', `No other machine has the host ${host.address}`);
};

/** The name is another host's: one that was onboarded under it and never taken out. A member's own host may have moved. */
const hostnameUnique: Check = ({ cluster, machine, isMember, request: { namespace, name, host } }) => {
  if (!cluster || !machine || isMember) return undefined;
  const other = cluster.objects.find(({ metadata: { labels, annotations = {} } }) => {
    const { [hostKeyAnnotation]: key, [hostPlaceAnnotation]: place } = annotations;
    const isOwn = labels?.[machineLabel] === name && key !== undefined;
    return isOwn && key !== machine.hostKeyFingerprint && place !== hostPlace(host);
  });
  return other
    ? fails(
        'HostnameUnique',
        'NameOfOtherHost',
        `${namespace}/${name} is the name of another host already, as ${other.kind} ${other.metadata.name} says; offboard that one first, or use another hostname`,
      )
    : holds('HostnameUnique', `No other host is ${namespace}/${name}`);
};

export const hostChecks: readonly Check[] = [hostAllowed, hostUnique, hostnameUnique];
