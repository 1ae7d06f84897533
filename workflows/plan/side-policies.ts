/** The part of a migration's preflight that compares what policies hold for machines and for pods: callers meet one after the other. */
import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts } from '../../activities/ports/cutover-port.ts';
import { machineLabel } from '../../activities/render/names.ts';
import { describeObject, refOf } from '../../activities/render/object-ref.ts';
import type { CutoverCheck } from './cutover-checks.ts';
import { deploymentOf } from './migration-target.ts';
import { hasSelector, obeys } from './policy-checks.ts';
import { fails, holds, listed } from './verdicts.ts';

type Labels = Readonly<Record<string, string>>;

/** A PeerAuthentication of the root namespace is for the whole mesh or for nothing [istiod, composePeerAuthentication]. */
function isIgnored(policy: KubernetesObject, rootNamespace: string | undefined): boolean {
  return policy.kind === 'PeerAuthentication' && policy.metadata.namespace === rootNamespace && hasSelector(policy);
}

const obeyedPolicies = ({ policies, rootNamespace }: CutoverFacts): readonly KubernetesObject[] =>
  policies.filter((policy) => !isIgnored(policy, rootNamespace));

/** Of others, those of the whole mesh too. What holds for one side alone changes for callers as traffic moves. */
const samePolicies: CutoverCheck = ({ facts }) => {
  const { deployment, entries } = facts;
  if (deployment === undefined || entries.length === 0) return undefined;
  const type = 'SamePolicies';
  const sides = obeyedPolicies(facts).map((policy) => ({
    name: describeObject(refOf(policy)),
    isOfPods: obeys(policy, deployment.labels),
    machines: entries.filter(({ labels }) => obeys(policy, labels)).length,
  }));
  const uneven = sides.filter(({ isOfPods, machines }) => machines !== (isOfPods ? entries.length : 0));
  if (uneven.length === 0) return holds(type, 'Both sides obey the same policies of others', 'Warning');
  const told = uneven.map(
    ({ name, isOfPods, machines }) =>
      `${name} (${isOfPods ? 'pods' : 'no pod'}, ${machines} of ${entries.length} machines)`,
  );
  return fails(type, 'OtherPolicies', `These select one side and not the other: ${listed(told)}`, 'Warning');
};

/**
 * An enforced machine refuses plaintext, and callers of other namespaces, by policies that Meshlift made for it alone: they do not come
 * along. A warning, since what else protects pods is not seen here: a NetworkPolicy, a waypoint, the application. What an
 * AuthorizationPolicy lets through is not compared, nor ports that a PeerAuthentication excepts, nor what either side may call.
 */
const protectionKept: CutoverCheck = ({ request: { target }, facts }) => {
  const { deployment, entries, ownPolicies } = facts;
  if (deployment === undefined || entries.length === 0 || ownPolicies === undefined) return undefined;
  const type = 'ProtectionKept';
  const machinesWith = (policies: readonly KubernetesObject[]): readonly string[] =>
    entries
      .filter(({ labels }) => policies.some((policy) => obeys(policy, labels)))
      .map(({ labels, name }) => labels[machineLabel] ?? name);
  const strict = machinesWith(ownPolicies.filter((policy) => modeOf(policy) === 'STRICT'));
  const bounded = machinesWith(ownPolicies.filter(({ kind }) => kind === 'AuthorizationPolicy'));
  const enforced = [...new Set([...strict, ...bounded])];
  if (enforced.length === 0) return holds(type, 'No machine is enforced', 'Warning');
  const { labels } = deployment;
  const restricted = obeyedPolicies(facts).some((policy) => restrictsCallers(policy) && obeys(policy, labels));
  const lacks = [
    ...(strict.length > 0 && !takesMutualTlsAlone(labels, facts)
      ? ['plaintext (no PeerAuthentication of mode STRICT holds for them)']
      : []),
    ...(bounded.length > 0 && !restricted
      ? ['calls of every namespace (no AuthorizationPolicy says who may call)']
      : []),
  ];
  if (lacks.length === 0) return holds(type, `Pods are protected, as ${listed(enforced)} are`, 'Warning');
  return fails(
    type,
    'PodsUnprotected',
    `Pods of Deployment ${deploymentOf(target)} take ${lacks.join(' and ')}, which the enforced machines ${listed(enforced)} refuse; apply policies that select the pods first`,
    'Warning',
  );
};

interface Authentication {
  readonly mtls?: { readonly mode?: string };
}

const modeOf = ({ kind, spec }: KubernetesObject): string | undefined =>
  kind === 'PeerAuthentication' ? ((spec ?? {}) as Authentication).mtls?.mode : undefined;

/** The workload's own comes before the namespace's, that before the mesh's; one that is UNSET says nothing. Of several all must say it. */
function takesMutualTlsAlone(labels: Labels, facts: CutoverFacts): boolean {
  const policies = obeyedPolicies(facts).filter((policy) => ![undefined, 'UNSET'].includes(modeOf(policy)));
  const isOfMesh = ({ metadata }: KubernetesObject): boolean => metadata.namespace === facts.rootNamespace;
  const layers = [
    policies.filter((policy) => hasSelector(policy) && obeys(policy, labels)),
    policies.filter((policy) => !hasSelector(policy) && !isOfMesh(policy)),
    policies.filter((policy) => !hasSelector(policy) && isOfMesh(policy)),
  ];
  const deciding = layers.find((layer) => layer.length > 0) ?? [];
  return deciding.length > 0 && deciding.every((policy) => modeOf(policy) === 'STRICT');
}

interface Authorization {
  readonly action?: string;
  readonly rules?: readonly { readonly from?: readonly { readonly source?: object }[] }[];
}

/** ALLOW refuses everybody else, unless one of its rules is empty; DENY restricts who calls where it is for all but some. */
function restrictsCallers({ kind, spec }: KubernetesObject): boolean {
  if (kind !== 'AuthorizationPolicy') return false;
  const { action = 'ALLOW', rules = [] }: Authorization = spec ?? {};
  if (action === 'ALLOW') return rules.every((rule) => Object.keys(rule).length > 0);
  const sources = rules.flatMap(({ from = [] }) => from.flatMap(({ source }) => Object.keys(source ?? {})));
  return action === 'CUSTOM' || (action === 'DENY' && sources.some((key) => key.startsWith('not')));
}

export const sideChecks: readonly CutoverCheck[] = [samePolicies, protectionKept];
