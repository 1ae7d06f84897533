/** Everything that is known before a machine's change is decided; what could not be read is there as a failure. */
import type { RenderMachineResult } from '../../activities/cluster.ts';
import type { ClusterFacts, FoundWorkloadEntry, KnownMachine } from '../../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';

/** A read that failed: the type from `activities/failures.ts`, or `TimedOut`. */
export interface FactFailure {
  readonly type: string;
  readonly message: string;
}

export interface PlanInput {
  readonly request: OnboardMachine;
  /** The entity knows the machine as a member already: what it finds of Meshlift's there is its own. */
  readonly isMember: boolean;
  readonly cluster?: ClusterFacts;
  readonly machine?: MachineFacts;
  readonly rendered?: RenderMachineResult;
  /** The WorkloadEntry of the group that stands at the machine's address already. */
  readonly entry?: FoundWorkloadEntry;
  /** Other machines, of any namespace, that are on the same host. */
  readonly sharing?: readonly KnownMachine[];
  readonly failures: {
    readonly cluster?: FactFailure;
    readonly machine?: FactFailure;
    readonly render?: FactFailure;
    readonly package?: FactFailure;
    readonly entry?: FactFailure;
  };
}

/** Input that was read whole, so that a plan can be made of it. */
export type DecidableInput = PlanInput &
  Required<Pick<PlanInput, 'cluster' | 'machine' | 'rendered'>> & {
    readonly cluster: Required<Pick<ClusterFacts, 'revision'>>;
  };

export function isDecidable(input: PlanInput): input is DecidableInput {
  return input.cluster?.revision !== undefined && input.machine !== undefined && input.rendered !== undefined;
}

/** Meshlift has written nothing on the machine yet, so what is there of Istio is of others. */
export const isUntouched = ({ machine, isMember }: PlanInput): boolean => !isMember && machine?.journal.entries === 0;
