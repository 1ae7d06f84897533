/** An operation that is cancelled while one of its activities runs: everything is real, the cancel comes at that very moment. */
import { WithStartWorkflowOperation } from '@temporalio/client';
import { Context } from '@temporalio/activity';
import { ulid } from 'ulid';

import type { Activities } from '../../activities/index.ts';
import type { Machine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { onboardRequest, sandbox, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import type {
  Accepted,
  MachineInput,
  OffboardRequest,
  OnboardRequest,
  OperateRequest,
} from '../../workflows/messages.ts';
import { difference, snapshot } from './as-found.ts';
import { objectsOf } from './operations.ts';
import { freshMachine, kubectl } from './sandbox.ts';
import { startTestWorker, type TestWorker } from './test-worker.ts';

/** Steps in which an operation can be cancelled: the verb, and the activity that runs then. */
export const cancelRows = [
  ...(
    [
      'inspectMachine',
      'applyObjects',
      'installPackage',
      'writeBootstrapFiles',
      'startProxy',
      'confirmCapture',
      'verifyConnected',
      'verifyRegistered',
      'verifyHealthy',
    ] as const
  ).map((activity) => `onboard in ${activity}` as const),
  ...(['drain', 'restart-proxy', 'offboard'] as const).flatMap((verb) =>
    (
      ['askLease', 'holdMachine', 'drainWorkloadEntry', 'verifyLabelSeen', 'verifyAcknowledged', 'stopCapture'] as const
    ).map((activity) => `${verb} in ${activity}` as const),
  ),
  'drain in verifyQuiet',
] as const satisfies readonly `${'onboard' | 'drain' | 'restart-proxy' | 'offboard'} in ${keyof Activities}`[];
export type CancelRow = (typeof cancelRows)[number];

export interface Cancelled {
  readonly operation: Operation;
  /** What the machine was after it. */
  readonly phase: string;
  /** What a member is after it, beside what it was before; an onboarding has none. */
  readonly differs: readonly string[];
  /** What is left in the end; a machine whose offboarding was cancelled is offboarded then. */
  readonly left: readonly string[];
}

type Activity = (input: unknown) => Promise<unknown>;

/** What Meshlift remembers on a machine of its own steps, and what the proxy renews and logs. */
const changesByItself =
  /\/var\/lib\/meshlift\/(steps|fence|lock|results)|\/var\/lib\/meshlift$|\/etc\/certs\/|secrets\/tokens/;

/** A member as it stands: the machine, and the labels of its WorkloadEntry. */
async function memberState(machine: SandboxMachine): Promise<string[]> {
  const { items } = await kubectl<{ readonly items: readonly Entry[] }>(
    ...['-n', machine.namespace, 'get', 'workloadentries', '-l', `meshlift.dev/machine=${machine.name}`],
  );
  return [
    ...(await snapshot(machine)).filter((line) => !changesByItself.test(line)),
    ...items.map(({ metadata, spec }) => `labels ${JSON.stringify([metadata.labels, spec.labels])}`),
  ];
}

interface Entry {
  readonly metadata: { readonly labels?: object };
  readonly spec: { readonly labels?: object };
}

/** Runs rows against one worker of its own; `stop` ends it. */
export class CancelRows {
  private worker: TestWorker | undefined;
  /** Operations that are to be cancelled, with the activity in which it happens; once each. */
  private readonly armed = new Map<string, string>();

  async start(): Promise<void> {
    this.worker = await startTestWorker(await sandboxEnv(), `cancels-${ulid().toLowerCase()}`, (activities) =>
      this.cancelling(activities),
    );
  }

  async stop(): Promise<void> {
    await this.worker?.stop();
  }

  private get client(): TestWorker['client'] {
    if (!this.worker) throw new Error('No worker was started');
    return this.worker.client;
  }

  private cancelling(activities: Activities): Activities {
    const replaced = Object.entries(activities).map(([name, real]) => [
      name,
      async (input: unknown): Promise<unknown> => {
        const { workflowId = '' } = Context.current().info.workflowExecution ?? {};
        if (this.armed.get(workflowId) === name) {
          this.armed.delete(workflowId);
          await this.client.workflow.getHandle(workflowId).cancel();
        }
        return await (real as Activity)(input);
      },
    ]);
    return Object.fromEntries(replaced) as Activities;
  }

  async run(row: CancelRow): Promise<Cancelled> {
    const [verb = '', activity = ''] = row.split(' in ');
    const machine = await freshMachine(`cancel-${verb}-${activity.toLowerCase()}`, 'shop');
    const asFound = await snapshot(machine);
    let operation = await this.onboard(machine, verb === 'onboard' ? activity : undefined);
    let differs: string[] = [];
    if (verb !== 'onboard') {
      const before = await memberState(machine);
      operation = await this.leave(machine, verb, activity);
      differs = difference(before, await memberState(machine));
    }
    const { phase } = await this.entity(machine).query<Machine>('machine');
    // Also one that joined in spite of its cancel: it must not stand in the way of others.
    if (phase === 'InMesh') await this.leave(machine, 'offboard');
    const left = [...difference(asFound, await snapshot(machine)), ...(await objectsOf('shop', machine.name))];
    await sandbox('machine', 'remove', machine.name);
    return { operation, phase, differs, left };
  }

  private entity({ namespace, name }: SandboxMachine) {
    return this.client.workflow.getHandle(`machine/${namespace}/${name}`);
  }

  private async onboard(machine: SandboxMachine, cancelledIn?: string): Promise<Operation> {
    const { namespace, name } = machine;
    const operationId = `onboard-${namespace}-${name}-${ulid()}`;
    if (cancelledIn !== undefined) this.armed.set(operationId, cancelledIn);
    const startWorkflowOperation = new WithStartWorkflowOperation<(input: MachineInput) => Promise<unknown>>(
      'machine',
      {
        workflowId: `machine/${namespace}/${name}`,
        taskQueue: 'meshlift',
        args: [{ namespace, name }],
        workflowIdConflictPolicy: 'USE_EXISTING',
      },
    );
    const wanted = onboardRequest(await sandboxEnv(), machine, name);
    // A Service that pods watch selects it, so that a drain has something to prove.
    const labels = { ...wanted.workload?.labels, checkout: 'true' };
    const body = { ...wanted, workload: { ...wanted.workload, labels } };
    const request: OnboardRequest = { operationId, bodyDigest: name, body };
    await this.client.workflow.executeUpdateWithStart<
      (input: MachineInput) => Promise<unknown>,
      Accepted,
      [OnboardRequest]
    >('onboard', { args: [request], startWorkflowOperation });
    return await this.endOf(machine, operationId);
  }

  /** An offboarding, or what takes the machine out of service for a while. */
  private async leave(machine: SandboxMachine, verb: string, cancelledIn?: string): Promise<Operation> {
    const operationId = `${verb}-${machine.namespace}-${machine.name}-${ulid()}`;
    if (cancelledIn !== undefined) this.armed.set(operationId, cancelledIn);
    const request = { operationId, bodyDigest: 'none' };
    if (verb === 'offboard')
      await this.entity(machine).executeUpdate<Accepted, [OffboardRequest]>('offboard', { args: [request] });
    else {
      // Whether other rows leave their machines in the Service meanwhile is not what is tested.
      const operate = { ...request, verb, body: { allowDisruption: true } } as OperateRequest;
      await this.entity(machine).executeUpdate<Accepted, [OperateRequest]>('operate', { args: [operate] });
    }
    return await this.endOf(machine, operationId);
  }

  /** How the operation ended, once its machine has heard of that. */
  private async endOf(machine: SandboxMachine, operationId: string): Promise<Operation> {
    await eventually(
      `${operationId} has ended`,
      async () => {
        const { lastOperations } = await this.entity(machine).query<Machine>('machine');
        const told = lastOperations.find(({ id }) => id === operationId)?.phase;
        return told !== undefined && told !== 'Running' && told !== 'Pending';
      },
      300_000,
      500,
    );
    return await this.client.workflow.getHandle(operationId).query<Operation>('operation');
  }
}
