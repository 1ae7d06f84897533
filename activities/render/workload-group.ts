/** A WorkloadGroup as the machine's files need it: used as found, or built from the request where none exists. */
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { ClusterFacts, FoundWorkloadGroup } from '../ports/cluster-port.ts';
import { groupLabel, groupLabelValue, machineLabel } from './names.ts';

type Labels = Readonly<Record<string, string>>;

export interface Group {
  readonly name: string;
  readonly namespace: string;
  readonly annotations: Labels;
  readonly spec: FoundWorkloadGroup['spec'];
  /** `default` where the group names none. */
  readonly serviceAccount: string;
  /** Metadata labels, overridden by the template's. */
  readonly labels: Labels;
  readonly network: string;
}

/** The group that the machine joins. istioctl forgets to fill in defaults of a group that it reads from the API; this does not. */
export function machineGroup(
  request: Pick<OnboardMachine, 'namespace' | 'workloadGroup' | 'workload'>,
  found: ClusterFacts['workloadGroup'],
): Group {
  const spec = found?.spec ?? newGroupSpec(request);
  return {
    name: request.workloadGroup,
    namespace: request.namespace,
    annotations: found?.annotations ?? {},
    spec,
    serviceAccount: spec.template?.serviceAccount === '' ? 'default' : (spec.template?.serviceAccount ?? 'default'),
    labels: { ...spec.metadata?.labels, ...spec.template?.labels },
    network: spec.template?.network ?? '',
  };
}

function newGroupSpec({
  workloadGroup,
  workload = {},
}: Pick<OnboardMachine, 'workloadGroup' | 'workload'>): FoundWorkloadGroup['spec'] {
  return {
    // Empty, not absent: istioctl crashes on a group of the API that has none.
    metadata: {},
    template: {
      serviceAccount: workload.serviceAccount ?? workloadGroup,
      labels: workload.labels ?? { app: workloadGroup },
      ...(workload.ports === undefined ? {} : { ports: workload.ports }),
      ...(workload.network === undefined ? {} : { network: workload.network }),
      ...(workload.locality === undefined ? {} : { locality: workload.locality }),
    },
    ...(workload.probe === undefined ? {} : { probe: workload.probe }),
  };
}

/** Istio's canonical name and revision, from the first label of its list that is there. */
export function canonicalService(
  labels: Labels,
  workloadName: string,
): { readonly name: string; readonly revision: string } {
  const first = (...keys: readonly string[]): string | undefined => {
    const key = keys.find((candidate) => candidate in labels);
    return key === undefined ? undefined : labels[key];
  };
  return {
    name: first('service.istio.io/canonical-name', 'app.kubernetes.io/name', 'app') ?? workloadName,
    revision: first('service.istio.io/canonical-revision', 'app.kubernetes.io/version', 'version') ?? 'latest',
  };
}

/** What policies select the machine by; Services select by the labels of its entry instead. */
export function nodeLabels(machine: string, group: Group): Labels {
  const canonical = canonicalService(group.labels, group.name);
  return {
    ...group.labels,
    'service.istio.io/canonical-name': canonical.name,
    'service.istio.io/canonical-revision': canonical.revision,
    [machineLabel]: machine,
    // Tells the machines of a group from pods that take over from them: subsets match it.
    [groupLabel]: groupLabelValue(group.name),
  };
}
