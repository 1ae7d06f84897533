/** Everything that is known before a machine's change is decided; what could not be read is there as a failure. */
import type { RenderMachineResult } from '../../activities/cluster.ts';
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';
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
  readonly failures: {
    readonly cluster?: FactFailure;
    readonly machine?: FactFailure;
    readonly render?: FactFailure;
    readonly package?: FactFailure;
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
