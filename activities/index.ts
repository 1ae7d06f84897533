/** Every activity, built over the ports; the worker registers them on both task queues, and the workflow chooses. */
import { clusterActivities } from './cluster.ts';
import { cutoverActivities } from './cutover.ts';
import { cutoverMachineActivities } from './cutover-machines.ts';
import { cutoverPodActivities } from './cutover-pods.ts';
import { cutoverProofActivities } from './cutover-proofs.ts';
import { cutoverSideActivities } from './cutover-sides.ts';
import { floorActivities } from './floors.ts';
import { followActivities } from './follow-cutover.ts';
import { hostActivities } from './host.ts';
import { meshActivities } from './mesh.ts';
import type { ClusterPort } from './ports/cluster-port.ts';
import type { CutoverPort } from './ports/cutover-port.ts';
import type { HostPort } from './ports/host-port.ts';
import type { MeshPort } from './ports/mesh-port.ts';
import type { MetricsPort } from './ports/metrics-port.ts';
import type { PackagePort } from './ports/package-port.ts';

export interface Ports {
  readonly cluster: ClusterPort;
  readonly cutover: CutoverPort;
  readonly host: HostPort;
  readonly mesh: MeshPort;
  readonly metrics: MetricsPort;
  readonly packages: PackagePort;
  /** The worker's own limit on hosts, whatever the policies say; absent: none. */
  readonly hostCidrs?: readonly string[];
}

export type Activities = ReturnType<typeof createActivities>;

export function createActivities(ports: Ports) {
  return {
    ...hostActivities(ports),
    ...clusterActivities(ports),
    ...meshActivities(ports),
    ...floorActivities(ports),
    ...cutoverActivities(ports),
    ...cutoverProofActivities(ports),
    ...followActivities(ports),
    ...cutoverSideActivities(ports),
    ...cutoverPodActivities(ports),
    ...cutoverMachineActivities(ports),
  };
}
