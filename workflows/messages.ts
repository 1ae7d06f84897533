/** What may be said to a machine's entity and to its operations, and the names of the search attributes. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';

import type { Machine, OnboardMachine } from '../api/schemas/machine.ts';
import type { Operation } from '../api/schemas/operation.ts';
import type { MachineState } from './plan/machine-state.ts';

/** A verb asked of a machine. `bodyDigest` is sha256 of the canonical body; key and digest live in the entity for 24 h. */
export interface OperationRequest {
  /** `<verb>-<namespace>-<name>-<ulid>`, made by the API; the child workflow's id. */
  readonly operationId: string;
  readonly bodyDigest: string;
  readonly idempotencyKey?: string;
}
export interface OnboardRequest extends OperationRequest {
  readonly body: OnboardMachine;
}
export type OffboardRequest = OperationRequest;

/** The operation that answers the request: a new one, or the one that an earlier equal request started. */
export interface Accepted {
  readonly operationId: string;
}

export interface OnboardPreview {
  /** The machine is in the mesh: what Meshlift finds of its own there is no leftover. */
  readonly isMember: boolean;
  /** With what the request would be refused. */
  readonly refusal?: { readonly type: string; readonly message: string };
}

export interface OperationOutcome {
  readonly operationId: string;
  readonly operation: Operation;
  /** The fence this operation used on the machine; the next one goes above it. */
  readonly fence: number;
  /** What the operation learned of the machine; absent where it touched nothing. */
  readonly machine?: Pick<Machine, 'proxy' | 'identity' | 'conditions'>;
  /** Something of the operation may still stand on the machine or in the cluster: only offboarding removes it. */
  readonly leftBehind: boolean;
  /** For trust on first use: the host key to pin from now on. */
  readonly pinnedHostKey?: string;
}

/** Failure types an update is refused with: `MachineExists`, `MachineNotFound`, `IdempotencyKeyReused`, `MachineBusy`. */
export const onboardUpdate = defineUpdate<Accepted, [OnboardRequest]>('onboard');
export const offboardUpdate = defineUpdate<Accepted, [OffboardRequest]>('offboard');
export const operationFinishedSignal = defineSignal<[OperationOutcome]>('operationFinished');
export const machineQuery = defineQuery<Machine>('machine');
/** What the entity would say to an onboarding; it takes nothing on. */
export const previewOnboardQuery = defineQuery<OnboardPreview, [OnboardRequest]>('previewOnboard');
export const operationQuery = defineQuery<Operation>('operation');

export const searchAttributes = {
  namespace: defineSearchAttributeKey('MeshliftNamespace', SearchAttributeType.KEYWORD),
  phase: defineSearchAttributeKey('MeshliftPhase', SearchAttributeType.KEYWORD),
  revision: defineSearchAttributeKey('MeshliftRevision', SearchAttributeType.KEYWORD),
  proxyVersion: defineSearchAttributeKey('MeshliftProxyVersion', SearchAttributeType.KEYWORD),
  workloadGroup: defineSearchAttributeKey('MeshliftWorkloadGroup', SearchAttributeType.KEYWORD),
  operation: defineSearchAttributeKey('MeshliftOperation', SearchAttributeType.KEYWORD),
  outdated: defineSearchAttributeKey('MeshliftOutdated', SearchAttributeType.BOOL),
} as const;

/** How long an operation waits for each thing before it fails; every field has a default, tests use short ones. */
export interface Waits {
  /** Retries of an unreachable machine or cluster while facts are read. Default 30 s. */
  readonly readableMs?: number;
  /** One change on the machine or in the cluster, retries included. Default 10 min. */
  readonly changeMs?: number;
  /** 15021 answers ready. Default 2 min. */
  readonly readyMs?: number;
  /** Connected to the right istiod, everything acknowledged. Default 2 min. */
  readonly connectedMs?: number;
  /** WorkloadEntry registered. Default 1 min. */
  readonly registeredMs?: number;
  /** Health reported True. Default 3 min. */
  readonly healthyMs?: number;
  /** No istiod gives the address out any more. Default 1 min. */
  readonly notGivenOutMs?: number;
  /** Undoing one step, retries included. Default 15 min. */
  readonly undoMs?: number;
  /** The machine goes back by itself when capture is not confirmed within this time. Default 120 s. */
  readonly deadManSeconds?: number;
  /** Life of the machine's first token. Default 1 h. */
  readonly tokenLifetimeSeconds?: number;
}

/** Input of the workflow `machine`; `state` is set by continue-as-new alone. */
export interface MachineInput {
  readonly namespace: string;
  readonly name: string;
  readonly waits?: Waits;
  readonly state?: MachineState;
}

/** Input of the workflow `planMachine`, which answers `validateOnly` with a `Plan`. */
export interface PlanMachineInput {
  readonly body: OnboardMachine;
  /** The machine is in the mesh: what Meshlift finds of its own there is no leftover. Default false. */
  readonly isMember?: boolean;
  readonly waits?: Waits;
}
