/** What a change of a machine's isolation has to change, on either side; nothing to change is an empty list. */
import type { KubernetesObject, ObjectRef } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { Plan } from '../../api/schemas/machine.ts';
import type { Enforcement } from '../../api/schemas/verbs.ts';
import { refOf } from './ownership.ts';
import type { DecidableInput } from './plan-input.ts';
import { saysSame } from './says-same.ts';

/** The steps that change something, in their order: policies first, so that what is captured anew finds them. */
export const ENFORCE_STEPS = ['applyPolicies', 'setEnforcement', 'confirmEnforcement'] as const;

const POLICY_KINDS = ['PeerAuthentication', 'Sidecar', 'AuthorizationPolicy'];

export type EnforceChange =
  | {
      readonly step: 'applyPolicies';
      readonly apply: readonly KubernetesObject[];
      readonly remove: readonly ObjectRef[];
      /** What stands there now: an undo applies it, and removes the rest. */
      readonly before: readonly KubernetesObject[];
    }
  | {
      readonly step: 'setEnforcement';
      readonly mode: Enforcement;
      readonly excludePorts: readonly number[];
      readonly before: { readonly mode: Enforcement; readonly excludePorts: readonly number[] };
    }
  | { readonly step: 'confirmEnforcement' };

/** `rendered` is the machine as asked for. */
export function planEnforce({ cluster, machine, rendered }: DecidableInput): EnforceChange[] {
  const wanted = rendered.objects.filter(isPolicy);
  const before = cluster.objects.filter(isPolicy);
  const apply = wanted.filter((object) => !before.some((found) => isSame(found, object) && saysSame(found, object)));
  const remove = before.filter((found) => !wanted.some((object) => isSame(found, object))).map(refOf);
  return [
    ...(apply.length + remove.length > 0 ? [{ step: 'applyPolicies' as const, apply, remove, before }] : []),
    ...changesOnMachine(machine, rendered),
  ];
}

function changesOnMachine(
  machine: MachineFacts,
  { enforcement: mode, excludedPorts: excludePorts }: DecidableInput['rendered'],
): EnforceChange[] {
  const before = {
    mode: machine.isEnforced ? ('enforce' as const) : ('observe' as const),
    excludePorts: machine.excludedPorts,
  };
  const isSet = before.mode === mode && saysSame(before.excludePorts, excludePorts);
  // A change that was cut off waits for its confirmation still.
  if (isSet) return machine.journal.deadManArmed ? [{ step: 'confirmEnforcement' }] : [];
  return [{ step: 'setEnforcement', mode, excludePorts, before }, { step: 'confirmEnforcement' }];
}

const isPolicy = ({ kind }: KubernetesObject): boolean => POLICY_KINDS.includes(kind);

const isSame = (a: KubernetesObject, b: KubernetesObject): boolean =>
  a.kind === b.kind && a.metadata.name === b.metadata.name && a.metadata.namespace === b.metadata.namespace;

/**
 * Whether the running proxy does what the mode says; undefined where it does, else what it does not do yet. Ports that are not
 * captured are told to take plaintext in either mode.
 */
export function policyMissing(
  mode: Enforcement,
  { proxy: { policy }, excludedPorts }: Pick<MachineFacts, 'proxy' | 'excludedPorts'>,
  authorization: string,
): string | undefined {
  if (!policy) return 'does not tell its listeners';
  const isEnforced = mode === 'enforce';
  const plaintext = policy.plaintextPorts.filter((port) => !excludedPorts.map(String).includes(port));
  if (isEnforced && plaintext.length > 0) return `takes plaintext still on ${portsOf(plaintext)}`;
  if (!isEnforced && plaintext.length === 0) return 'refuses plaintext still';
  if (policy.reachesAnything === isEnforced)
    return isEnforced ? 'lets unknown destinations through still' : 'holds back unknown destinations still';
  if (policy.authorizations.includes(authorization) !== isEnforced) {
    return isEnforced ? `does not judge callers by ${authorization} yet` : `judges callers by ${authorization} still`;
  }
  return undefined;
}

const portsOf = (ports: readonly string[]): string =>
  ports.includes('*') ? 'its captured ports' : `port ${ports.join(', ')}`;

/** Those of the rendered files that the change writes; the rest of them is the onboarding's. */
export function filesOfEnforce(changes: readonly EnforceChange[], { rendered }: DecidableInput): Plan['files'] {
  if (!changes.some(({ step }) => step === 'setEnforcement')) return [];
  return rendered.files
    .filter(({ path }) => path.startsWith('/var/lib/meshlift/') && !path.startsWith('/var/lib/meshlift/bin/'))
    .map(({ path, mode, sha256, content }) => ({ path, mode, sha256, content }));
}

/** The changes as the API lists them, one line per object or file, and what the new listeners cost. */
export function describeEnforce(changes: readonly EnforceChange[], machine: string): Plan['steps'] {
  return changes.flatMap((change) => describe(change, machine).map((line) => ({ name: change.step, ...line })));
}

function describe(change: EnforceChange, machine: string): { change: string; object: string }[] {
  switch (change.step) {
    case 'applyPolicies':
      return [
        ...change.apply.map(({ kind, metadata }) => ({
          change: change.before.some((found) => found.kind === kind) ? 'change' : 'create',
          object: `${kind} ${metadata.namespace}/${metadata.name}`,
        })),
        ...change.remove.map(({ kind, namespace, name }) => ({
          change: 'remove',
          object: `${kind} ${namespace}/${name}`,
        })),
        {
          change: 'close',
          object: `connections of ${machine} that are older than 45 s, once, because its listeners change; no other proxy is touched`,
        },
      ];
    case 'setEnforcement':
      return [
        { change: change.mode === 'enforce' ? 'write' : 'remove', object: `/var/lib/meshlift/enforce on ${machine}` },
        {
          change: 'write',
          object: `/var/lib/meshlift/exclude-ports on ${machine}: ${change.excludePorts.join(', ') || 'no port'}`,
        },
        { change: 'redirect', object: `traffic of ${machine} anew, without a restart of its proxy` },
      ];
    case 'confirmEnforcement':
      return [{ change: 'confirm', object: `SSH, DNS and the application of ${machine} over a new connection` }];
  }
}
