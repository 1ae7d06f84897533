/** What activities ask of workflows that may not be there. */
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/common';

import type { Machine } from '../api/schemas/machine.ts';

/** What the entity of a machine says of it; undefined where none runs. */
export async function readMachine(namespace: string, name: string): Promise<Machine | undefined> {
  const entity = Context.current().client.workflow.getHandle(`machine/${namespace}/${name}`);
  return await known(async () => {
    const { status } = await entity.describe();
    return status.name === 'RUNNING' ? await entity.query<Machine>('machine') : undefined;
  });
}

/** Undefined where Temporal knows no such workflow. */
export async function known<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
