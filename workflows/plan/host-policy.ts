/**
 * Which host a namespace may claim. Default deny: one HostPolicy must allow every part of the claim. It is judged before each
 * connection, so it holds as well for a workflow that somebody started by hand.
 */
import type { HostPolicy } from '../../activities/ports/cluster-port.ts';
import type { LocatedHost } from '../../activities/ports/host-port.ts';
import { isInCidr } from './cidr.ts';

export interface HostClaim {
  readonly namespace: string;
  readonly host: LocatedHost;
}

type Endpoint = Omit<LocatedHost, 'jump'>;

/** Why the host, or the one that stands before it, must not be connected to; undefined where it may be. */
export function hostRefusal(
  { namespace, host: { jump, ...host } }: HostClaim,
  policies: readonly HostPolicy[],
  outerCidrs?: readonly string[],
): string | undefined {
  for (const endpoint of jump === undefined ? [host] : [jump, host]) {
    const refusal = endpointRefusal(namespace, endpoint, policies, outerCidrs);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function endpointRefusal(
  namespace: string,
  endpoint: Endpoint,
  policies: readonly HostPolicy[],
  outerCidrs: readonly string[] | undefined,
): string | undefined {
  const host = `${endpoint.user}@${endpoint.address}`;
  if (outerCidrs?.some((cidr) => isInCidr(endpoint.ip, cidr)) === false) {
    return `${host} (${endpoint.ip}) is outside of MESHLIFT_HOST_CIDRS, the worker's own limit; nothing was sent to it`;
  }
  const own = policies.filter(({ namespaces }) => names(namespaces, namespace));
  if (own.length === 0) {
    return `No HostPolicy names namespace ${namespace}, so it may claim no host; the cluster's admin allows hosts to it with one`;
  }
  const closest = own
    .map((policy) => ({ name: policy.name, misses: missesOf(policy, endpoint) }))
    .reduce((best, other) => (other.misses.length < best.misses.length ? other : best));
  if (closest.misses.length === 0) return undefined;
  return `No HostPolicy lets namespace ${namespace} use ${host}: ${closest.name} does not allow ${closest.misses.join(', ')}; correct the request, or ask the cluster's admin`;
}

/** Parts of the claim that a policy does not allow. A host is known by its address or by the key that the request pins. */
function missesOf({ cidrs, hostKeys, credentials, users }: HostPolicy, endpoint: Endpoint): string[] {
  const isKeyAllowed = endpoint.hostKeys.length > 0 && endpoint.hostKeys.every((key) => hostKeys.some(isKey(key)));
  const isHostAllowed = isKeyAllowed || cidrs.some((cidr) => isInCidr(endpoint.ip, cidr));
  return [
    ...(isHostAllowed ? [] : [`the address ${endpoint.ip} or its host key`]),
    ...(names(credentials, endpoint.credentialsName) ? [] : [`the credential ${endpoint.credentialsName}`]),
    ...(names(users, endpoint.user) ? [] : [`the user ${endpoint.user}`]),
  ];
}

const names = (list: readonly string[], name: string): boolean => list.includes(name) || list.includes('*');

const isKey = (key: string) => (listed: string) => withoutPadding(listed) === withoutPadding(key);

const withoutPadding = (fingerprint: string): string => fingerprint.replace(/=+$/, '');
