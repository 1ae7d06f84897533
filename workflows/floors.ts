/**
 * `floors/<namespace>`: grants leases on machines that are to be taken out of service, so that no Service of the namespace falls below
 * its floor. It decides one request at a time, on what every istiod gives out at that moment, and forgets a lease when its operation
 * returns it or runs no more.
 */
import { allHandlersFinished, condition, continueAsNew, setHandler, workflowInfo } from '@temporalio/workflow';

import { lookOnce } from './activity-proxies.ts';
import { askLeaseUpdate, returnLeaseSignal } from './messages.ts';
import type { FloorsInput } from './messages.ts';
import { decideLease } from './plan/floors.ts';
import type { LeaseRequest, LeaseVerdict } from './plan/floors.ts';

/** The caller has a deadline of its own, and asks again. */
const READ_WITHIN_MS = 20_000;

export async function floors({ namespace, leases: carried = [] }: FloorsInput): Promise<void> {
  let leases = carried;
  let turn: Promise<unknown> = Promise.resolve();

  const decide = async (request: LeaseRequest): Promise<LeaseVerdict> => {
    const facts = await lookOnce(`Count what ${request.machine} leaves behind`, READ_WITHIN_MS).readFloorFacts({
      namespace,
      machine: request.machine,
      operations: leases.map(({ operationId }) => operationId),
    });
    const decided = decideLease(leases, request, facts);
    ({ leases } = decided);
    return decided.verdict;
  };

  setHandler(
    askLeaseUpdate,
    (request: LeaseRequest) => {
      const mine = turn.then(() => decide(request));
      turn = mine.catch(() => undefined);
      return mine;
    },
    { description: 'Asks to take a machine out of service; answers whether it may go, or who is in the way' },
  );
  setHandler(returnLeaseSignal, (operationId: string) => {
    leases = leases.filter((lease) => lease.operationId !== operationId);
  });

  await condition(() => workflowInfo().continueAsNewSuggested && allHandlersFinished());
  await continueAsNew<typeof floors>({ namespace, leases });
}
