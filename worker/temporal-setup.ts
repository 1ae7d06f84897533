/** Creates what Meshlift needs in Temporal where it is absent, and changes nothing that is there. */
import { setTimeout as delay } from 'node:timers/promises';

import { isGrpcServiceError } from '@temporalio/client';
import type { ConnectionLike } from '@temporalio/client';

import { searchAttributes } from '../workflows/messages.ts';

const RETENTION_SECONDS = 30 * 24 * 60 * 60;
/** Servers read new namespaces and search attributes from a cache of some seconds. */
const VISIBLE_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 250;
const ALREADY_EXISTS = 6;
const NOT_FOUND = 5;
/** temporal.api.enums.v1.IndexedValueType */
const indexedValueType = { KEYWORD: 2, BOOL: 5 } as const;

/** Ends when namespace and search attributes can be used; tells what it created. */
export async function setUpTemporal(connection: ConnectionLike, namespace: string): Promise<readonly string[]> {
  const created = [
    ...(await createNamespace(connection, namespace)),
    ...(await createSearchAttributes(connection, namespace)),
  ];
  return created;
}

async function createNamespace({ workflowService }: ConnectionLike, namespace: string): Promise<string[]> {
  if (await exists(workflowService, namespace)) return [];
  try {
    await workflowService.registerNamespace({
      namespace,
      description: 'Machines in the mesh, by Meshlift',
      workflowExecutionRetentionPeriod: { seconds: RETENTION_SECONDS as never },
    });
  } catch (error) {
    if (codeOf(error) !== ALREADY_EXISTS) throw error;
  }
  await until(() => exists(workflowService, namespace), `namespace ${namespace}`);
  return [`namespace ${namespace}`];
}

async function createSearchAttributes({ operatorService }: ConnectionLike, namespace: string): Promise<string[]> {
  const missing = async (): Promise<string[]> => {
    const { customAttributes } = await whenKnown(() => operatorService.listSearchAttributes({ namespace }));
    return Object.values(searchAttributes)
      .map(({ name }) => name)
      .filter((name) => !(name in customAttributes));
  };
  const names = await missing();
  if (names.length === 0) return [];
  const wanted = Object.values(searchAttributes).filter(({ name }) => names.includes(name));
  try {
    await whenKnown(() =>
      operatorService.addSearchAttributes({
        namespace,
        searchAttributes: Object.fromEntries(wanted.map(({ name, type }) => [name, indexedValueType[type]])),
      }),
    );
  } catch (error) {
    // Another worker that started at the same time made them.
    if (codeOf(error) !== ALREADY_EXISTS) throw error;
  }
  await until(async () => (await missing()).length === 0, `search attributes of ${namespace}`);
  return names.map((name) => `search attribute ${name}`);
}

async function exists(workflowService: ConnectionLike['workflowService'], namespace: string): Promise<boolean> {
  try {
    await workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    if (codeOf(error) === NOT_FOUND) return false;
    throw error;
  }
}

/** A namespace that was just made is not known to every part of the server at once. */
async function whenKnown<T>(call: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + VISIBLE_WITHIN_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (codeOf(error) !== NOT_FOUND || Date.now() > deadline) throw error;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

async function until(isThere: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + VISIBLE_WITHIN_MS;
  while (!(await isThere())) {
    await delay(LOOK_AGAIN_MS);
    if (Date.now() > deadline) {
      throw new Error(`Temporal does not show ${what} after ${VISIBLE_WITHIN_MS / 1000} s; see its server's log`);
    }
  }
}

function codeOf(error: unknown): number | undefined {
  return isGrpcServiceError(error) ? error.code : undefined;
}
