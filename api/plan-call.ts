/** `validateOnly`: what a verb would find and do, asked of a machine's entity where there is one, and of `planMachine`. */
import { WorkflowNotFoundError } from '@temporalio/common';

import type {
  MemberPreview,
  OffboardPreviewRequest,
  OnboardPreview,
  OnboardRequest,
  Operate,
  OperateRequest,
  PlanMachineInput,
} from '../workflows/messages.ts';
import { entityId, notFound } from './machine-calls.ts';
import type { Target } from './machine-calls.ts';
import { operationRequest } from './operation-request.ts';
import { problemOfRefusal } from './problems.ts';
import { runPlan } from './run-plan.ts';
import type { OnboardMachine, Plan } from './schemas/machine.ts';
import type { Temporal } from './temporal.ts';

type MemberVerb = Operate | { readonly verb: 'offboard'; readonly force?: boolean };

/** Plans an onboarding. A machine without a running entity is no member, and a request for it starts a new one. */
export function planOnboarding(temporal: Temporal, body: OnboardMachine): Promise<Plan> {
  const request = { ...operationRequest({ verb: 'onboard', ...body, body, idempotencyKey: undefined }), body };
  return planMachine(temporal, body, request.operationId, async () => {
    const preview = await askEntity<OnboardPreview>(temporal, body, 'previewOnboard', request);
    refuse(preview);
    return { input: { body, isMember: preview?.isMember ?? false }, hasWorkerAnswered: preview !== undefined };
  });
}

/** Plans a verb on a machine that is in the mesh; one that is not there is not found. */
export function planVerb(temporal: Temporal, target: Target, operate: MemberVerb): Promise<Plan> {
  const { verb, ...asked } = operate;
  const body = 'body' in asked ? asked.body : asked;
  const request = { ...operationRequest({ verb, ...target, body, idempotencyKey: undefined }), ...operate };
  return planMachine(temporal, target, request.operationId, async () => {
    const preview = await askEntity<MemberPreview>(temporal, target, 'previewMember', request);
    refuse(preview);
    if (preview?.body === undefined) throw notFound(target);
    const { body: desired, member } = preview;
    return { input: { body: desired, isMember: true, member, operate }, hasWorkerAnswered: true };
  });
}

function planMachine(
  temporal: Temporal,
  { namespace, name }: Target,
  operationId: string,
  ask: () => Promise<{ readonly input: PlanMachineInput; readonly hasWorkerAnswered: boolean }>,
): Promise<Plan> {
  const plan = { workflowType: 'planMachine', operationId, staticSummary: `Plan of ${namespace}/${name}` };
  return runPlan<Plan>(temporal, plan, ask);
}

/** With one operation more in its queue than it takes, a machine can still be planned for. */
function refuse(preview: OnboardPreview | MemberPreview | undefined): void {
  const { type, message } = preview?.refusal ?? { type: 'MachineBusy', message: '' };
  if (type !== 'MachineBusy') throw problemOfRefusal(type, message);
}

/** Undefined where no entity runs. */
async function askEntity<Preview>(
  { client }: Temporal,
  target: Target,
  query: string,
  request: OnboardRequest | OperateRequest | OffboardPreviewRequest,
): Promise<Preview | undefined> {
  const entity = client.workflow.getHandle(entityId(target));
  try {
    const { status } = await entity.describe();
    return status.name === 'RUNNING' ? await entity.query<Preview, [typeof request]>(query, request) : undefined;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
