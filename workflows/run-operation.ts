/** Gives one operation its run: a child of the entity, which waits for its outcome. */
import {
  ApplicationFailure,
  condition,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';

import { drainMachine } from './drain-machine.ts';
import { enforceMachine } from './enforce-machine.ts';
import { explainFailure } from './explain-failure.ts';
import { searchAttributes } from './messages.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { offboardMachine } from './offboard-machine.ts';
import { onboardMachine } from './onboard-machine.ts';
import { isMember, memberState } from './plan/machine-state.ts';
import type { MachineState, QueuedOperation } from './plan/machine-state.ts';
import { restartMachine } from './restart-machine.ts';
import { outcomeOfLost, refuseOther } from './plan/turns.ts';

/** A child that runs, whatever its verb. */
interface Running {
  readonly result: () => Promise<OperationOutcome>;
}

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
  return outcomes.get(operationId) ?? outcomeOfLost(current, id, lost ?? '');
}

async function start(
  current: QueuedOperation,
  id: string,
  state: MachineState,
  waits: Waits | undefined,
): Promise<Running> {
  const body = state.desired;
  if (!body) throw ApplicationFailure.nonRetryable(`Machine ${id} was never onboarded`, 'MachineNotFound');
  const { namespace, name, workloadGroup } = body;
  const common = {
    body,
    ...(waits ? { waits } : {}),
    ...(state.fence === undefined ? {} : { fence: state.fence + 1 }),
  };
  const member = { ...common, member: memberState(state) };
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
      { key: searchAttributes.phase, value: 'Running' },
    ],
    staticDetails: `Operation \`${workflowId}\` on machine \`${id}\` of WorkloadGroup \`${namespace}/${workloadGroup}\``,
  };
  switch (verb) {
    case 'onboard': {
      const staticSummary = state.isPresent ? `Onboard ${id} again` : `Onboard ${id}`;
      return startChild(onboardMachine, {
        ...options,
        staticSummary,
        args: [{ ...common, isMember: isMember(state), member: memberState(state) }],
      });
    }
    case 'offboard':
      return startChild(offboardMachine, {
        ...options,
        staticSummary: `Offboard ${id}`,
        args: [
          {
            ...common,
            isMember: isMember({ phase: state.before ?? state.phase }),
            member: memberState(state),
            isPresent: state.isPresent,
            ...(current.force === true ? { force: true } : {}),
            ...(current.migration === undefined ? {} : { isReplaced: true }),
          },
        ],
      });
    case 'enforce': {
      const staticSummary = current.body.mode === 'enforce' ? `Enforce the isolation of ${id}` : `Only observe ${id}`;
      return startChild(enforceMachine, { ...options, staticSummary, args: [{ ...member, request: current.body }] });
    }
    case 'drain': {
      const request = { verb, body: current.body };
      return startChild(drainMachine, { ...options, staticSummary: `Drain ${id}`, args: [{ ...member, request }] });
    }
    case 'undrain': {
      const staticSummary = `Put ${id} back into load balancing`;
      const request = { verb, body: current.body };
      return startChild(drainMachine, { ...options, staticSummary, args: [{ ...member, request }] });
    }
    case 'restart-proxy':
      return startChild(restartMachine, {
        ...options,
        staticSummary: `Restart the proxy of ${id}`,
        args: [{ ...member, request: current.body }],
      });
  }
}
