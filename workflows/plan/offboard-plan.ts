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
    objects: objectsOfMachine(machineName, cluster),
  };
}

/** What stands in the cluster for one machine alone. */
export function objectsOfMachine(machineName: string, cluster: ClusterFacts): ObjectRef[] {
  return cluster.objects.filter(({ metadata }) => metadata.labels?.[MACHINE_LABEL] === machineName).map(refOf);
}

interface LastLook {
  readonly machineName: string;
  readonly cluster: ClusterFacts;
  readonly machine: MachineFacts;
  readonly registered: { readonly name: string } | undefined;
  /** Proxy and redirection were Meshlift's: those of somebody's hand-made join are not its leftovers. */
  readonly wasOurs: boolean;
}

/** What is still there after an offboarding; empty when the machine is as found and the cluster has nothing of it left. */
export function leftovers({ machineName, cluster, machine, registered, wasOurs }: LastLook): string[] {
  const { journal, unit, isCaptured } = machine;
  const isDown = unit.activeState === 'inactive' || unit.activeState === 'failed';
  return [
    ...(journal.entries > 0 ? [`${journal.entries} changes in the machine's journal`] : []),
    ...(wasOurs && !isDown ? [`unit istio, which is ${unit.activeState}`] : []),
    ...(wasOurs && isCaptured ? ['redirection of its traffic'] : []),
    ...clusterLeftovers(machineName, cluster, registered),
  ];
}

/** The part of it that stands in the cluster. */
export function clusterLeftovers(
  machineName: string,
  cluster: ClusterFacts,
  registered: LastLook['registered'],
): string[] {
  return [
    ...(registered ? [`WorkloadEntry ${registered.name}`] : []),
    ...objectsOfMachine(machineName, cluster).map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`),
  ];
}
