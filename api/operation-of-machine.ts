/** What a machine's entity says of an operation that has no workflow: it waits for its turn, or ended longer ago than Temporal keeps it. */
import { readMachine, type Target } from './machine-calls.ts';
import { ProblemError } from './problems.ts';
import { verbsOfWorkflow } from './rows.ts';
import type { Operation, OperationPhase, Verb } from './schemas/operation.ts';
import type { Temporal } from './temporal.ts';

const verbs = Object.values(verbsOfWorkflow).flat();

export async function operationOfMachine(temporal: Temporal, id: string): Promise<Operation | undefined> {
  const verb = verbIn(id);
  if (verb === undefined) return undefined;
  for (const { namespace, name } of possibleTargets(id)) {
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

function verbIn(id: string): Verb | undefined {
  return verbs.find((verb) => id.startsWith(`${verb}-`));
}

/** Namespace and name may both hold hyphens: every split is possible, one of them is a machine that knows the id. */
export function possibleTargets(id: string): readonly Target[] {
  const [, namespace, name] = /^migrate\.([^.]+)\.([^.]+)$/.exec(id) ?? [];
  if (namespace !== undefined && name !== undefined) return [{ namespace, name }];
  const [, target = ''] = /^(.+)-[0-9A-HJKMNP-TV-Z]{26}$/.exec(id) ?? [];
  const parts = target.slice((verbIn(id) ?? target).length + 1).split('-');
  return parts
    .slice(1)
    .map((_, index) => ({ namespace: parts.slice(0, index + 1).join('-'), name: parts.slice(index + 1).join('-') }))
    .filter(({ namespace, name }) => isLabel(namespace) && isLabel(name));
}

const isLabel = (text: string): boolean => text !== '' && text.length <= 63;

async function orUndefined<Result>(call: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof ProblemError && error.problemType === 'machine-not-found') return undefined;
    throw error;
  }
}
