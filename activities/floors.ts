/** Activities around the leases of `floors/<namespace>`: a workflow cannot update another, so an activity asks for it. */
import { Context } from '@temporalio/activity';
import { WithStartWorkflowOperation, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';

import type { FloorFacts, LeaseRequest, LeaseVerdict } from '../workflows/plan/floors.ts';
import { known, readMachine } from './entity-calls.ts';
import { failure } from './failures.ts';
import type { MeshPort } from './ports/mesh-port.ts';

export interface FloorActivities {
  /** Asks `floors/<namespace>`, which is started where it does not run. Failure types: those of `readFloorFacts`. */
  askLease(input: { namespace: string; request: LeaseRequest }): Promise<LeaseVerdict>;
  /** Failure types: `EvidenceUnavailable`, `ClusterUnreachable`. */
  readFloorFacts(input: {
    namespace: string;
    machine: string;
    /** Operations that hold leases. */
    operations: readonly string[];
  }): Promise<FloorFacts>;
}

export function floorActivities({ mesh }: { readonly mesh: MeshPort }): FloorActivities {
  return {
    async askLease({ namespace, request }) {
      const { client, info } = Context.current();
      const startWorkflowOperation = new WithStartWorkflowOperation('floors', {
        workflowId: `floors/${namespace}`,
        workflowIdConflictPolicy: 'USE_EXISTING',
        taskQueue: 'meshlift',
        staticSummary: `Leases of ${namespace}`,
        args: [{ namespace }],
      });
      try {
        return await client.workflow.executeUpdateWithStart<() => Promise<void>, LeaseVerdict, [LeaseRequest]>(
          'askLease',
          {
            args: [request],
            // Each attempt asks anew: an update that failed stays so, and an operation holds one lease however often it asks.
            updateId: `${info.workflowExecution?.workflowId ?? ''}.${info.activityId}.${info.attempt}`,
            startWorkflowOperation,
          },
        );
      } catch (error) {
        throw asLeaseFailure(error, namespace);
      }
    },
    async readFloorFacts({ namespace, machine, operations }) {
      const [services, routes, closed] = await Promise.all([
        mesh.readServices({ namespace, machine }),
        mesh.readRoutes(namespace),
        Promise.all(operations.map(async (id) => ((await isRunning(id)) ? [] : [id]))),
      ]);
      const machines = new Set(services.flatMap(({ endpoints }) => endpoints.flatMap((one) => one.machine ?? [])));
      const floors = await Promise.all(
        [...machines].map(async (name): Promise<[string, number][]> => {
          // Undefined where there is no entity of Meshlift's, or nothing was asked of it.
          const floor = (await readMachine(namespace, name))?.floor;
          return floor === undefined ? [] : [[name, floor]];
        }),
      );
      return { services, routes, floors: Object.fromEntries(floors.flat()), closed: closed.flat() };
    },
  };
}

/** What the update failed with says why; anything else is Temporal's own trouble, which a retry can heal. */
function asLeaseFailure(error: unknown, namespace: string): unknown {
  if (!(error instanceof WorkflowUpdateFailedError)) return error;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof ApplicationFailure && cause.type === 'EvidenceUnavailable') {
      return failure('EvidenceUnavailable', cause.message, error);
    }
  }
  const why = error.cause?.message ?? error.message;
  return failure('EvidenceUnavailable', `No lease of floors/${namespace} can be decided: ${why}`, error);
}

async function isRunning(workflowId: string): Promise<boolean> {
  const found = await known(() => Context.current().client.workflow.getHandle(workflowId).describe());
  return found?.status.name === 'RUNNING';
}
