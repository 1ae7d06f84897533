/** What a verb on a member would find and do, as the API shows it before anything is touched. */
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { Plan } from '../../api/schemas/machine.ts';
import type { MemberState, Operate } from '../messages.ts';
import { objectsOfMachine, planOffboard } from './offboard-plan.ts';
import { refOf } from './ownership.ts';
import type { PlanInput } from './plan-input.ts';
import { notTouched, readConditions } from './read-checks.ts';

type Steps = Plan['steps'];
type MovingVerb = Exclude<Operate['verb'], 'enforce'>;

const nothing: Pick<Plan, 'files' | 'objects'> = { files: [], objects: [] };

export function describeOffboarding(input: PlanInput, now: string): Plan {
  const { request, cluster, machine } = input;
  const conditions = readConditions(input, now);
  if (!cluster || !machine) return { ...nothing, conditions, steps: [] };
  return {
    conditions,
    ...takenAway(request, cluster, stepsOnMachine(request, planOffboard(request.name, cluster, machine))),
  };
}

/** The cluster's side alone: the machine was not asked, and is not touched. */
export function describeForced(input: PlanInput, now: string): Plan {
  const { request, cluster } = input;
  const conditions: Condition[] = [...readConditions(input, now), { ...notTouched(request), lastTransitionTime: now }];
  return cluster ? { conditions, ...takenAway(request, cluster, []) } : { ...nothing, conditions, steps: [] };
}

function takenAway(
  { namespace, name, workloadGroup }: PlanInput['request'],
  cluster: ClusterFacts,
  onMachine: Steps,
): Omit<Plan, 'conditions'> {
  const going = objectsOfMachine(name, cluster);
  const isGoing = (object: ClusterFacts['objects'][number]): boolean =>
    going.some((ref) => JSON.stringify(ref) === JSON.stringify(refOf(object)));
  return {
    files: [],
    objects: cluster.objects.filter(isGoing).map((object) => ({ ...object })),
    steps: [
      { name: 'drainWorkloadEntry', change: 'label', object: `WorkloadEntry of ${namespace}/${name}` },
      ...onMachine,
      { name: 'removeWorkloadEntry', change: 'remove', object: `WorkloadEntry of ${namespace}/${name}` },
      ...going.map((ref) => ({
        name: 'removeClusterObjects',
        change: 'remove',
        object: `${ref.kind} ${ref.namespace}/${ref.name}`,
      })),
      {
        name: 'removeClusterObjects',
        change: 'remove with its last machine',
        object: `WorkloadGroup ${namespace}/${workloadGroup}, where Meshlift made it`,
      },
    ],
  };
}

function stepsOnMachine(
  { namespace, name }: PlanInput['request'],
  { stopsProxy, restores }: ReturnType<typeof planOffboard>,
): Steps {
  const machine = `${namespace}/${name}`;
  return [
    ...(stopsProxy ? [{ name: 'stopProxy', change: 'stop', object: `capture and proxy of ${machine}` }] : []),
    ...(restores ? [{ name: 'restoreMachine', change: 'restore', object: `${machine}, from its journal` }] : []),
  ];
}

/** A drain, its way back, or both with a restart between them; what stands already is left out. */
export function describeMove(verb: MovingVerb, { isDrained }: MemberState, input: PlanInput, now: string): Plan {
  const { namespace, name } = input.request;
  const machine = `${namespace}/${name}`;
  const conditions = readConditions(input, now);
  if (!input.cluster || !input.machine) return { ...nothing, conditions, steps: [] };
  const out: Steps = [
    { name: 'takeLease', change: 'take', object: `a drain lease of every Service that selects ${machine}` },
    { name: 'holdMachine', change: 'write', object: `/var/lib/meshlift/hold on ${machine}` },
    { name: 'drainWorkloadEntry', change: 'label', object: `WorkloadEntry of ${machine}` },
  ];
  const back: Steps = [
    { name: 'releaseMachine', change: 'remove', object: `/var/lib/meshlift/hold on ${machine}` },
    { name: 'undrainWorkloadEntry', change: 'remove the label of', object: `WorkloadEntry of ${machine}` },
    { name: 'verifyGivenOut', change: 'return', object: `the drain lease of ${machine}` },
  ];
  const restart: Steps = [{ name: 'restartProxy', change: 'restart', object: `unit istio on ${machine}` }];
  const steps = {
    drain: isDrained ? [] : out,
    undrain: isDrained ? back : [],
    'restart-proxy': isDrained ? restart : [...out, ...restart, ...back],
  };
  return { ...nothing, conditions, steps: steps[verb] };
}
