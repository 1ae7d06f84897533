/** What a machine's entity says of an operation that has no workflow: it waits for its turn, or ended longer ago than Temporal keeps it. */
import { readMachine } from './machine-calls.ts';
import { ProblemError } from './problems.ts';
import type { Operation, OperationPhase } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

export async function operationOfMachine(temporal: Temporal, id: string): Promise<Operation | undefined> {
  const parsed = /^(onboard|offboard)-(.+)-[0-9A-HJKMNP-TV-Z]{26}$/.exec(id);
  const [, verb, target = ''] = parsed ?? [];
  if (verb !== 'onboard' && verb !== 'offboard') return undefined;
  for (const { namespace, name } of possibleTargets(target)) {
    const machine = await orUndefined(() => readMachine(temporal, { namespace, name }));
    const summary = machine?.lastOperations.find((operation) => operation.id === id);
    if (summary === undefined) continue;
    const phase = summary.phase as OperationPhase;
    return {
      id,
      verb,
      target: { namespace, name },
      phase,
      steps: [],
      conditions: [],
      ...(phase === 'Pending' ? { waitingFor: `the operations before it on ${namespace}/${name}` } : {}),
      ...(summary.message === undefined ? {} : { message: summary.message }),
    };
  }
  return undefined;
}

/** Namespace and name may both hold hyphens: every split is possible, one of them is a machine that knows the id. */
function possibleTargets(target: string): { namespace: string; name: string }[] {
  const parts = target.split('-');
  return parts
    .slice(1)
    .map((_, index) => ({
      namespace: parts.slice(0, index + 1).join('-'),
      name: parts.slice(index + 1).join('-'),
    }))
    .filter(({ namespace, name }) => namespace !== '' && name !== '');
}

async function orUndefined<Result>(call: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ProblemError && error.problemType === 'machine-not-found') return undefined;
    throw error;
  }
}
