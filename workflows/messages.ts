/** What may be said to a machine's entity and to its operations, and the names of the search attributes. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';

import type { Machine, OnboardMachine, PatchMachine } from '../api/schemas/machine.ts';
import type { CreateMigration } from '../api/schemas/migration.ts';
import type { DrainMachine, EnforceMachine, Enforcement, RestartProxy, UndrainMachine } from '../api/schemas/verbs.ts';
import type { Operation } from '../api/schemas/operation.ts';
import type { ControlRequest } from './plan/cutover-state.ts';
import type { Lease, LeaseRequest, LeaseVerdict } from './plan/floors.ts';
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
export interface OffboardRequest extends OperationRequest {
  /** The machine does not answer any more: only the cluster's side is taken away. Default false. */
  readonly force?: boolean;
  /** The operation that has taken its traffic away: its phase is `Migrated` then. */
  readonly migration?: string;
}

/** A verb on a machine that is in the mesh, with its body. */
export type Operate =
  | { readonly verb: 'enforce'; readonly body: EnforceMachine }
  | { readonly verb: 'drain'; readonly body: DrainMachine }
  | { readonly verb: 'undrain'; readonly body: UndrainMachine }
  | { readonly verb: 'restart-proxy'; readonly body: RestartProxy };
export type OperateRequest = OperationRequest & Operate;

/** Changes what a machine's desired state says beside its specification; nothing runs for it. */
export interface PatchRequest {
  readonly patch: PatchMachine;
  /** The version it was made for, from `If-Match`; another one is refused with `VersionDiffers`. */
  readonly ifVersion?: number;
}

/** What an operation on a member starts from. */
export interface MemberState {
  readonly isEnforced: boolean;
  readonly isDrained: boolean;
}

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

/** An offboarding, as `validateOnly` asks for it. */
export type OffboardPreviewRequest = OffboardRequest & { readonly verb: 'offboard' };

/** What `validateOnly` of a verb starts from: the machine as desired and as it stands. */
export interface MemberPreview {
  /** Absent where the machine is not in the mesh. */
  readonly body?: OnboardMachine;
  readonly member: MemberState;
  readonly refusal?: { readonly type: string; readonly message: string };
}

/** Input of the workflows of one verb on a member. */
export interface MemberInput<Request> {
  /** The machine as desired. */
  readonly body: OnboardMachine;
  readonly request: Request;
  readonly member: MemberState;
  readonly fence?: number;
  readonly waits?: Waits;
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
  /** How its isolation stands now; absent where the operation did not look or could not say. */
  readonly enforcement?: Enforcement;
  /** Whether it is out of load balancing now; absent where the operation did not change it. */
  readonly isDrained?: boolean;
}

/**
 * Failure types an update is refused with: `MachineExists`, `MachineNotFound`, `MachineNotInMesh`, `IdempotencyKeyReused`,
 * `MachineBusy`, `MachineClaimed`, `VersionDiffers`.
 */
export const onboardUpdate = defineUpdate<Accepted, [OnboardRequest]>('onboard');
export const offboardUpdate = defineUpdate<Accepted, [OffboardRequest]>('offboard');
export const operateUpdate = defineUpdate<Accepted, [OperateRequest]>('operate');
export const patchUpdate = defineUpdate<Machine, [PatchRequest]>('patch');
/** Of a migration on each machine of its group; the operation's id. Refused with `MachineClaimed`, `MachineNotInMesh`. */
export const claimUpdate = defineUpdate<undefined, [string]>('claim');
/** The claim of this operation ends; one that is not there is no error. */
export const releaseSignal = defineSignal<[string]>('release');
export const operationFinishedSignal = defineSignal<[OperationOutcome]>('operationFinished');
export const machineQuery = defineQuery<Machine>('machine');
/** What the entity would say to an onboarding; it takes nothing on. */
export const previewOnboardQuery = defineQuery<OnboardPreview, [OnboardRequest]>('previewOnboard');
/** What the entity would say to a verb, and what that would start from; it takes nothing on. */
export const previewMemberQuery = defineQuery<MemberPreview, [OperateRequest | OffboardPreviewRequest]>(
  'previewMember',
);
/** Of a migration; refused with `ControlNotApplicable` where it does not apply now, `IdempotencyKeyReused`. Answers with the operation. */
export const controlUpdate = defineUpdate<Operation, [ControlRequest]>('control');
/** Of `floors/<namespace>`. */
export const askLeaseUpdate = defineUpdate<LeaseVerdict, [LeaseRequest]>('askLease');
/** The operation's id; a lease that is not there is no error. */
export const returnLeaseSignal = defineSignal<[string]>('returnLease');
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

/** Input of the workflow `floors`; `leases` is set by continue-as-new alone. */
export interface FloorsInput {
  readonly namespace: string;
  readonly leases?: readonly Lease[];
}

/** Input of the workflow `planMachine`, which answers `validateOnly` with a `Plan`. */
export interface PlanMachineInput {
  readonly body: OnboardMachine;
  /** The machine is in the mesh: what Meshlift finds of its own there is no leftover. Default false. */
  readonly isMember?: boolean;
  /** How the member stands; absent where it is none. */
  readonly member?: MemberState;
  /** The verb to plan; absent: an onboarding. */
  readonly operate?: Operate | { readonly verb: 'offboard'; readonly force?: boolean };
  readonly waits?: Waits;
}

/** How long a migration waits for each thing; every field has a default, tests use short ones. */
export interface MigrationWaits {
  /** Retries of a cluster that cannot be read while facts are. Default 30 s. */
  readonly readableMs?: number;
  /** One change, retries included. Default 10 min. */
  readonly changeMs?: number;
  /** A write of a route seen at every client. Default 2 min. */
  readonly routedMs?: number;
  /** Pods gone. Default 5 min. */
  readonly podsGoneMs?: number;
  /** The smoke test, retries included. Default 1 min. */
  readonly smokeMs?: number;
  /** One look at the counters, retries included; a machine that does not answer is left out then. Default 1 min. */
  readonly countMs?: number;
  /** The last look whether anybody calls a machine, before the wait for silence begins anew. Default 1 min. */
  readonly silentMs?: number;
  /** One machine leaving. Default 1 h. */
  readonly leaveMs?: number;
  /** Undoing one step, retries included. Default 15 min. */
  readonly undoMs?: number;
}

/** Input of the workflow `migrateWorkload`. */
export interface MigrationInput {
  readonly request: CreateMigration;
  readonly waits?: MigrationWaits;
}
