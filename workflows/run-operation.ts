/** Gives one operation its run: a child of the entity, which waits for its outcome. */
import {
  ApplicationFailure,
  condition,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { ChildWorkflowHandle } from '@temporalio/workflow';

import { explainFailure } from './explain-failure.ts';
import { searchAttributes } from './messages.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { offboardMachine } from './offboard-machine.ts';
import { onboardMachine } from './onboard-machine.ts';
import type { MachineState, QueuedOperation } from './plan/machine-state.ts';
import { outcomeOfLost, refuseOther } from './plan/turns.ts';

/** Starts the child, which lives on should this run end, and waits for its signal; one that dies without a word is told as lost. */
export async function runOperation(
  id: string,
  state: MachineState,
  outcomes: Map<string, OperationOutcome>,
  waits: Waits | undefined,
): Promise<OperationOutcome> {
  const { current } = state;
  if (!current) throw ApplicationFailure.nonRetryable(`Machine ${id} has no operation to run`, 'OperationMissing');
  const { operationId } = current;
  const refused = refuseOther(state, current, id);
  if (refused) return refused;
  let lost: string | undefined;
  try {
    const child = await start(current, id, state, waits);
    child.result().then(
      (outcome) => outcomes.set(operationId, outcome),
      (error: unknown) => (lost = explainFailure(error).message),
    );
  } catch (error) {
    lost = explainFailure(error).message;
  }
  await condition(() => outcomes.has(operationId) || lost !== undefined);
  const outcome = outcomes.get(operationId) ?? outcomeOfLost(current, id, lost ?? '');
  outcomes.delete(operationId);
  return outcome;
}

async function start(
  current: QueuedOperation,
  id: string,
  state: MachineState,
  waits: Waits | undefined,
): Promise<ChildWorkflowHandle<typeof onboardMachine>> {
  const body = state.desired;
  if (!body) throw ApplicationFailure.nonRetryable(`Machine ${id} was never onboarded`, 'MachineNotFound');
  const { namespace, name, workloadGroup } = body;
  const common = {
    body,
    ...(waits ? { waits } : {}),
    ...(state.fence === undefined ? {} : { fence: state.fence + 1 }),
  };
  const { operationId: workflowId, verb } = current;
  const options = {
    workflowId,
    workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
    parentClosePolicy: ParentClosePolicy.ABANDON,
    memo: { verb, namespace, name },
    typedSearchAttributes: [
      { key: searchAttributes.namespace, value: namespace },
      { key: searchAttributes.workloadGroup, value: workloadGroup },
      { key: searchAttributes.operation, value: verb },
    ],
    staticDetails: `Operation \`${workflowId}\` on machine \`${id}\` of WorkloadGroup \`${namespace}/${workloadGroup}\``,
  };
  switch (verb) {
    case 'onboard': {
      const staticSummary = state.isPresent ? `Onboard ${id} again` : `Onboard ${id}`;
      return startChild(onboardMachine, {
        ...options,
        staticSummary,
        args: [{ ...common, isMember: state.phase === 'InMesh' }],
      });
    }
    case 'offboard':
      return startChild(offboardMachine, {
        ...options,
        staticSummary: `Offboard ${id}`,
        args: [{ ...common, isMember: state.before === 'InMesh', isPresent: state.isPresent }],
      });
  }
}
