/** The one gate before a machine: nothing is connected to but the address that was judged. */
import type { Host } from '../api/schemas/machine.ts';
import { type HostClaim, hostRefusal } from '../workflows/plan/host-policy.ts';
import { failure } from './failures.ts';
import type { ClusterPort } from './ports/cluster-port.ts';
import type { HostPort, LocatedHost } from './ports/host-port.ts';

export interface AdmissionPorts {
  readonly host: Pick<HostPort, 'locate'>;
  readonly cluster: Pick<ClusterPort, 'readHostPolicies'>;
  /** The worker's own limit, whatever the policies say; absent: none. */
  readonly hostCidrs?: readonly string[];
}

/** The host with the address that was judged, where policies and configuration allow it; asked anew before each connection. */
export async function admitHost(
  ports: AdmissionPorts,
  { namespace, host }: { readonly namespace: string; readonly host: Host },
): Promise<LocatedHost> {
  const [policies, located] = await Promise.all([ports.cluster.readHostPolicies(), ports.host.locate(host)]);
  const claim: HostClaim = { namespace, host: located };
  const refusal = hostRefusal(claim, policies, ports.hostCidrs);
  if (refusal !== undefined) throw failure('HostNotAllowed', refusal);
  return located;
}
