/** The list of machines as a query to the visibility store. Pure; it selects the phases that the rows then show. */
import type { MachinePhase } from './schemas/machine.ts';
import type { MachineListQuery } from './schemas/requests.ts';

/** An entity that was ended from outside is shown as Failed, whatever phase it last told. */
const ENDED_FROM_OUTSIDE = "('Terminated', 'Failed', 'TimedOut', 'Canceled')";

/** Every value has passed a schema that allows no quote. */
export function machinesQuery({ namespace, phase, workloadGroup, outdated }: MachineListQuery): string {
  return [
    "WorkflowType = 'machine'",
    namespace === undefined ? '' : `MeshliftNamespace = '${namespace}'`,
    phase === undefined ? '' : inPhase(phase),
    workloadGroup === undefined ? '' : `MeshliftWorkloadGroup = '${workloadGroup}'`,
    outdated === undefined
      ? ''
      : outdated
        ? 'MeshliftOutdated = true'
        : '(MeshliftOutdated = false OR MeshliftOutdated IS NULL)',
  ]
    .filter((clause) => clause !== '')
    .join(' AND ');
}

function inPhase(phase: MachinePhase): string {
  return phase === 'Failed'
    ? `(MeshliftPhase = 'Failed' OR ExecutionStatus IN ${ENDED_FROM_OUTSIDE})`
    : `MeshliftPhase = '${phase}' AND ExecutionStatus IN ('Running', 'Completed')`;
}
