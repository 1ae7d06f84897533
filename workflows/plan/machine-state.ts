/** What a machine's entity remembers, and how it reads as the API's `Machine`. */
import type { Condition } from '../../api/schemas/common.ts';
import type { Host, Machine, MachinePhase, OnboardMachine, OperationSummary } from '../../api/schemas/machine.ts';
import type { Enforcement } from '../../api/schemas/verbs.ts';
import type { MemberState, Operate } from '../messages.ts';

/** An operation that was accepted and waits for its turn, or has it. */
export type QueuedOperation = {
  readonly operationId: string;
  readonly bodyDigest: string;
} & (
  | { readonly verb: 'onboard'; readonly body: OnboardMachine }
  | { readonly verb: 'offboard'; readonly force?: boolean; readonly migration?: string }
  | Operate
);

/** An Idempotency-Key that was seen, and the operation that answered it. */
interface SeenKey {
  readonly key: string;
  readonly bodyDigest: string;
  readonly operationId: string;
  readonly atMs: number;
}

export interface MachineState {
  readonly phase: MachinePhase;
  /** The phase before the offboarding that runs now: it comes back where that touches nothing or is undone. */
  readonly before?: MachinePhase;
  /** Something of ours stands, or may stand, on the machine or in the cluster. */
  readonly isPresent: boolean;
  readonly desired?: OnboardMachine;
  /** Of the body that was asked for; what a patch changed since is not in it. */
  readonly desiredDigest?: string;
  /** Counts the patches of `desired`. */
  readonly version: number;
  readonly enforcement: Enforcement;
  /** Out of load balancing by a drain, or because a way back found no evidence. */
  readonly isDrained: boolean;
  /** The migration that moves its workload: nothing else may take it out of the mesh meanwhile. */
  readonly claimedBy?: string;
  /** The last fence used on the machine; absent until an operation has read the machine's journal. */
  readonly fence?: number;
  readonly conditions: readonly Condition[];
  readonly proxy: Machine['proxy'];
  readonly identity: Machine['identity'];
  /** The operation that runs now. */
  readonly current?: QueuedOperation;
  /** Operations that wait for it, oldest first. */
  readonly queue: readonly QueuedOperation[];
  readonly keys: readonly SeenKey[];
  /** Newest first, at most {@link OPERATIONS_KEPT}. */
  readonly lastOperations: readonly OperationSummary[];
}

export const OPERATIONS_KEPT = 10;

export const newMachine: MachineState = {
  phase: 'Onboarding',
  isPresent: false,
  version: 1,
  enforcement: 'observe',
  isDrained: false,
  conditions: [],
  proxy: { connected: false, configAccepted: false },
  identity: {},
  queue: [],
  keys: [],
  lastOperations: [],
};

/** The API's view; undefined before the first operation was accepted. */
export function toMachine(namespace: string, name: string, state: MachineState): Machine | undefined {
  if (state.desired === undefined) return undefined;
  const { workloadGroup, host, intent, restart, floor } = state.desired;
  return {
    namespace,
    name,
    workloadGroup,
    phase: state.phase,
    enforcement: state.enforcement,
    ...(intent === undefined ? {} : { intent }),
    ...(restart === undefined ? {} : { restart }),
    ...(floor === undefined ? {} : { floor }),
    conditions: [...state.conditions],
    proxy: state.proxy,
    identity: state.identity,
    host,
    version: state.version,
    ...(state.claimedBy === undefined ? {} : { claimedBy: state.claimedBy }),
    lastOperations: [...unfinished(state), ...state.lastOperations],
  };
}

/** In the mesh, whether or not it takes traffic now. */
export function isMember({ phase }: Pick<MachineState, 'phase'>): boolean {
  return phase === 'InMesh' || phase === 'Drained';
}

/** Without the claim of this operation; another one's stays. */
export function releaseClaim(state: MachineState, by: string): MachineState {
  const { claimedBy, ...released } = state;
  return claimedBy === by ? released : state;
}

export function memberState({ enforcement, isDrained }: MachineState): MemberState {
  return { isEnforced: enforcement === 'enforce', isDrained };
}

/** What waits for its turn, then what has it: newest first, as those that ended. */
function unfinished({ queue, current }: MachineState): OperationSummary[] {
  const waiting = queue.map(({ operationId, verb }) => ({ id: operationId, verb, phase: 'Pending' })).reverse();
  return current ? [...waiting, { id: current.operationId, verb: current.verb, phase: 'Running' }] : waiting;
}

/** The host with its key pinned, for a machine whose key was trusted on first use. */
export function pinHostKey(host: Host, fingerprint: string | undefined): Host {
  return fingerprint === undefined ? host : { ...host, hostKey: { fingerprint } };
}
