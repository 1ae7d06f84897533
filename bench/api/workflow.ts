/** The least that an entity can be: one answers a query, the other takes an update and ends. */
import { condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';

export const payloadQuery = defineQuery<unknown>('payload');
export const startUpdate = defineUpdate<{ readonly operationId: string }, [unknown]>('start');

/** Answers what it was started with, for as long as nobody ends it. */
export async function bareAnswer(payload: unknown): Promise<void> {
  setHandler(payloadQuery, () => payload);
  await condition(() => false);
}

export async function bareStart(operationId: string): Promise<void> {
  let isAsked = false;
  setHandler(startUpdate, () => {
    isAsked = true;
    return { operationId };
  });
  await condition(() => isAsked);
}
