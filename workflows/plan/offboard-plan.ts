/** What an offboarding has to take away, from what stands on the machine and in the cluster. */
import type { ClusterFacts, ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import { refOf } from './ownership.ts';

const MACHINE_LABEL = 'meshlift.dev/machine';

export interface OffboardPlan {
  /** The unit runs, its traffic is captured, or a timer would change either. */
  readonly stopsProxy: boolean;
  /** The journal holds changes to take back. */
  readonly restores: boolean;
  /** The machine's own objects; what its group shares goes when no machine uses it any more. */
  readonly objects: readonly ObjectRef[];
}

export function planOffboard(machineName: string, cluster: ClusterFacts, machine: MachineFacts): OffboardPlan {
  const { unit, journal, isCaptured } = machine;
  const isOurs = journal.entries > 0;
  return {
    stopsProxy: isOurs && (unit.activeState !== 'inactive' || unit.enabled || isCaptured || journal.deadManArmed),
    restores: isOurs,
    objects: cluster.objects.filter(({ metadata }) => metadata.labels?.[MACHINE_LABEL] === machineName).map(refOf),
  };
}

/** What is still there after an offboarding; empty when the machine is as found and the cluster has nothing of it left. */
export function leftovers(machineName: string, cluster: ClusterFacts, machine: MachineFacts): string[] {
  const plan = planOffboard(machineName, cluster, machine);
  return [
    ...(machine.journal.entries > 0 ? [`${machine.journal.entries} changes in the machine's journal`] : []),
    ...plan.objects.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`),
  ];
}
