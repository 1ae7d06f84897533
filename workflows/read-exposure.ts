/** Gathers what a change of a machine's isolation is decided on: its facts, itself as asked for, and who else is in the mesh. */
import { isCancellation, TemporalFailure } from '@temporalio/workflow';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import type { EnforceMachine } from '../api/schemas/verbs.ts';
import { readCluster } from './activity-proxies.ts';
import { explainFailure } from './explain-failure.ts';
import { lookAgain } from './look-again.ts';
import type { Waits } from './messages.ts';
import type { ExposureInput } from './plan/exposure.ts';
import { isDecidable } from './plan/plan-input.ts';
import type { FactFailure, PlanInput } from './plan/plan-input.ts';
import { readFacts } from './read-facts.ts';

interface ReadExposure {
  readonly read: PlanInput;
  /** Absent where something could not be read: `read` or `failure` says what. */
  readonly input?: ExposureInput;
  readonly failure?: FactFailure;
  readonly pinnedHostKey?: string;
}

export async function readExposure(
  body: OnboardMachine,
  asked: EnforceMachine,
  waits: Required<Waits>,
): Promise<ReadExposure> {
  const { input: read, ...pinned } = await readFacts(body, true, waits);
  if (!isDecidable(read)) return { read, ...pinned };
  const { readableMs } = waits;
  const id = `${body.namespace}/${body.name}`;
  const { request, cluster, machine } = read;
  try {
    const [rendered, neighbours] = await Promise.all([
      lookAgain(readableMs, () =>
        readCluster(`Render ${id} at ${asked.mode}`, readableMs).renderMachine({
          request,
          cluster,
          machine,
          enforcement: asked.mode,
        }),
      ),
      lookAgain(readableMs, () => readCluster(`See who else is in the mesh of ${id}`, readableMs).readNeighbours()),
    ]);
    return { read, input: { ...read, rendered, asked, neighbours }, ...pinned };
  } catch (error) {
    if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
    return { read, failure: explainFailure(error), ...pinned };
  }
}
