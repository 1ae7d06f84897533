/** Rows of the lists, read from what the visibility store says of a run. Pure. */
import { wasAsked } from './latest-runs.ts';
import type { MachinePhase, MachineRow } from './schemas/machine.ts';
import type { OperationPhase, OperationRow, Verb } from './schemas/operation.ts';
import type { ListedRun } from './visibility.ts';

/** Workflow types of operations, and the verbs of each. */
export const verbsOfWorkflow: Readonly<Record<string, readonly Verb[]>> = {
  onboardMachine: ['onboard'],
  offboardMachine: ['offboard'],
  enforceMachine: ['enforce'],
  drainMachine: ['drain', 'undrain'],
  restartMachine: ['restart-proxy'],
  migrateWorkload: ['migrate'],
};

/** Undefined for a workflow that is no operation; its id begins with the verb: `<verb>-...` of a machine, `migrate.<namespace>.<name>`. */
export function verbOf({ workflowType, workflowId }: Pick<ListedRun, 'workflowType' | 'workflowId'>): Verb | undefined {
  return verbsOfWorkflow[workflowType]?.find((verb) => new RegExp(`^${verb}[-.]`).test(workflowId));
}

const machinePhases: readonly MachinePhase[] = [
  'Onboarding',
  'InMesh',
  'Drained',
  'Offboarding',
  'Offboarded',
  'Migrated',
  'Failed',
];
export const endPhases: readonly OperationPhase[] = ['Succeeded', 'Failed', 'RolledBack', 'Cancelled'];
const operationPhases: readonly OperationPhase[] = ['Pending', 'Running', 'Waiting', ...endPhases];

/** An entity that ended and was asked nothing is no machine: its first request was refused or lost. */
export function isMachine(run: ListedRun): boolean {
  return run.isRunning || wasAsked(run.memo, run.attributes['MeshliftPhase']);
}

export function machineRow(run: ListedRun): MachineRow {
  const [, namespace = '', name = ''] = run.workflowId.split('/');
  const workloadGroup = textOf(run, 'MeshliftWorkloadGroup');
  const phase = machinePhaseOf(run);
  const revision = textOf(run, 'MeshliftRevision');
  const proxyVersion = textOf(run, 'MeshliftProxyVersion');
  return {
    namespace,
    name,
    ...(workloadGroup === undefined ? {} : { workloadGroup }),
    ...(phase === undefined ? {} : { phase }),
    ...(revision === undefined ? {} : { revision }),
    ...(proxyVersion === undefined ? {} : { proxyVersion }),
    outdated: run.attributes['MeshliftOutdated'] === true,
  };
}

/** An entity that was ended from outside no longer looks after its machine, whatever phase it last reported. */
function machinePhaseOf(run: ListedRun): MachinePhase | undefined {
  if (!run.isRunning && run.status !== 'COMPLETED') return 'Failed';
  const told = textOf(run, 'MeshliftPhase');
  return machinePhases.find((phase) => phase === told);
}

/** Undefined for a run that is no operation. */
export function operationRow(run: ListedRun): Omit<OperationRow, 'workflowUrl'> | undefined {
  const verb = verbOf(run);
  const namespace = textOf(run, 'MeshliftNamespace');
  if (verb === undefined || namespace === undefined) return undefined;
  return {
    id: run.workflowId,
    verb,
    target: { namespace, name: machineOf(run.workflowId, verb, namespace) },
    phase: operationPhaseOf(run),
    startedAt: run.startedAt,
    ...(run.endedAt === undefined ? {} : { endedAt: run.endedAt }),
  };
}

/** The name in `<verb>-<namespace>-<name>-<ulid>`; both middle parts may hold hyphens, so the namespace must be known. */
function machineOf(operationId: string, verb: string, namespace: string): string {
  if (verb === 'migrate') return operationId.slice(verb.length + namespace.length + 2);
  const ulidLength = 26;
  return operationId.slice(verb.length + namespace.length + 2, -(ulidLength + 1));
}

/** What the operation told last; one that was ended from outside, in the middle of a phase, has failed. */
function operationPhaseOf(run: ListedRun): OperationPhase {
  const told = textOf(run, 'MeshliftPhase');
  const phase = operationPhases.find((candidate) => candidate === told);
  if (run.isRunning) return phase ?? 'Running';
  if (phase !== undefined && endPhases.includes(phase)) return phase;
  if (run.status === 'COMPLETED') return 'Succeeded';
  return run.status === 'CANCELLED' ? 'Cancelled' : 'Failed';
}

function textOf(run: ListedRun, attribute: string): string | undefined {
  const value = run.attributes[attribute];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
