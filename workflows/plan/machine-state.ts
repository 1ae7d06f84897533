/** What a machine's entity remembers, and how it reads as the API's `Machine`. */
import type { Condition } from '../../api/schemas/common.ts';
import type { Host, Machine, MachinePhase, OnboardMachine, OperationSummary } from '../../api/schemas/machine.ts';

/** An operation that was accepted and waits for its turn, or has it. */
export type QueuedOperation = {
  readonly operationId: string;
  readonly bodyDigest: string;
} & ({ readonly verb: 'onboard'; readonly body: OnboardMachine } | { readonly verb: 'offboard' });

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
  readonly desiredDigest?: string;
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
  return {
    namespace,
    name,
    workloadGroup: state.desired.workloadGroup,
    phase: state.phase,
    conditions: [...state.conditions],
    proxy: state.proxy,
    identity: state.identity,
    host: state.desired.host,
    lastOperations: [...unfinished(state), ...state.lastOperations],
  };
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
