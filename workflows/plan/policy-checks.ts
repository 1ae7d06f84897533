/** Objects of others that the machine's proxy would obey beside its own. */
import type { ClusterFacts, KubernetesObject } from '../../activities/ports/cluster-port.ts';
import { describeObject, refOf } from '../../activities/render/object-ref.ts';
import { machineGroup, nodeLabels } from '../../activities/render/workload-group.ts';
import { refusalsOf } from './caller-refusals.ts';
import type { Authorization } from './caller-refusals.ts';
import type { PlanInput } from './plan-input.ts';
import { portOf } from './traffic-checks.ts';
import { fails, holds, listed } from './verdicts.ts';
import type { Check } from './verdicts.ts';

type Labels = Readonly<Record<string, string>>;

interface Selecting {
  readonly selector?: { readonly matchLabels?: Labels };
  readonly workloadSelector?: { readonly labels?: Labels };
  readonly targetRef?: unknown;
  readonly targetRefs?: readonly unknown[];
}

/** Istio takes the oldest of several that select one workload; those of whole namespaces and meshes give way to the machine's. */
const noOverlappingPolicies: Check = ({ cluster, request }) => {
  if (!cluster?.namespaceExists) return undefined;
  const labels = labelsOf(cluster, request);
  const overlapping = (cluster.policies ?? []).filter((policy) => {
    return policy.kind !== 'AuthorizationPolicy' && hasSelector(policy) && selects(selectorOf(policy), labels);
  });
  return overlapping.length === 0
    ? holds('NoOverlappingPolicies', `No Sidecar or PeerAuthentication of others selects ${request.name}`)
    : fails(
        'NoOverlappingPolicies',
        'PolicyOverlaps',
        `${listed(overlapping.map((policy) => describeObject(refOf(policy))))} of others would select ${request.name} as well, and Istio obeys only one; narrow the selector, or remove it`,
      );
};

/** Of any scope: the machine's own policy takes nothing back that another refuses. */
const callersAllowed: Check = ({ cluster, machine, isMember, request }) => {
  if (!cluster?.namespaceExists) return undefined;
  const { name } = request;
  const labels = labelsOf(cluster, request);
  const root = cluster.rootNamespace ?? cluster.istioNamespace ?? 'istio-system';
  const policies = (cluster.policies ?? [])
    .filter((policy) => policy.kind === 'AuthorizationPolicy' && appliesTo(policy, labels, [request.namespace, root]))
    .map((policy): Authorization => ({ name: describeObject(refOf(policy)), spec: policy.spec ?? {} }));
  // A member's connections run through its proxy, which judges them already.
  const callers = isMember ? [] : (machine?.connections ?? []).filter(({ direction }) => direction === 'inbound');
  const refused = callers.flatMap(({ local, remote }) => {
    const by = refusalsOf(policies, { address: remote, port: portOf(local) });
    return by.length === 0 ? [] : [{ who: `${remote} on port ${portOf(local)}`, by }];
  });
  if (refused.length > 0) {
    return fails(
      'CallersAllowed',
      'CallersRefused',
      `${named(refused.flatMap(({ by }) => by))} refuses, or may refuse, plaintext callers of ${name} as soon as it joins: ${listed(refused.map(({ who }) => who))}; let it pass them (by ipBlocks, or a rule without a source) until the machine is enforced, or move these callers into the mesh`,
    );
  }
  const unseen = refusalsOf(policies, {});
  return unseen.length === 0
    ? holds('CallersAllowed', `No AuthorizationPolicy of others refuses callers of ${name}`)
    : fails(
        'CallersAllowed',
        'CallersMayBeRefused',
        `${named(unseen)} may refuse plaintext callers of ${name}; none that is connected now is refused, so see who calls it at other times`,
        'Warning',
      );
};

function labelsOf(cluster: ClusterFacts, request: PlanInput['request']): Labels {
  return nodeLabels(request.name, machineGroup(request, cluster.workloadGroup));
}

function appliesTo(policy: KubernetesObject, labels: Labels, namespaces: readonly string[]): boolean {
  return namespaces.includes(policy.metadata.namespace) && obeys(policy, labels);
}

/** Whether a workload of its namespace with these labels obeys it. One that is attached to a Gateway or Service is for waypoints. */
export function obeys(policy: KubernetesObject, labels: Labels): boolean {
  const { targetRef, targetRefs = [] }: Selecting = policy.spec ?? {};
  const isAttached = targetRef !== undefined || targetRefs.length > 0;
  return !isAttached && selects(selectorOf(policy), labels);
}

function selectorOf({ kind, spec }: KubernetesObject): Labels {
  const { selector, workloadSelector }: Selecting = spec ?? {};
  return (kind === 'Sidecar' ? workloadSelector?.labels : selector?.matchLabels) ?? {};
}

/** Whether it is for some workloads alone. */
export const hasSelector = (policy: KubernetesObject): boolean => Object.keys(selectorOf(policy)).length > 0;

const selects = (selector: Labels, labels: Labels): boolean =>
  Object.entries(selector).every(([key, value]) => labels[key] === value);

const named = (names: readonly string[]): string => listed([...new Set(names)]);

export const policyChecks: readonly Check[] = [noOverlappingPolicies, callersAllowed];
