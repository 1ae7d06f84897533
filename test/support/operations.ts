/** What end-to-end files ask of operations and of what they leave. */
import { endPhases } from '../../api/rows.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import type { Api } from '../../demo/api-client.ts';
import { eventually, Unrecoverable } from '../../demo/eventually.ts';
import { command } from './sandbox.ts';

/** Resolves while the step runs; one that was over before it was seen fails the test. */
export async function reaches(api: Api, id: string, step: string): Promise<void> {
  await eventually(
    `${id} is in step ${step}`,
    async () => {
      const operation: Operation = await api.operation(id);
      const phase = operation.steps.find(({ name }) => name === step)?.phase;
      if (phase === 'Succeeded' || phase === 'Failed') throw new Unrecoverable(`${step} of ${id} was over too soon`);
      if (operation.phase !== 'Running')
        throw new Unrecoverable(`${id} ended before ${step}: ${operation.message ?? ''}`);
      return phase === 'Running';
    },
    120_000,
    20,
  );
}

/** The conditions that ended the operation before its first write. */
export const blockingOf = ({ conditions }: Operation): Condition[] =>
  conditions.filter(({ category, status }) => category === 'Critical' && status !== 'True');

/** What a namespace holds of a machine or its group, by name. */
export async function objectsOf(namespace: string, ...names: readonly string[]): Promise<string[]> {
  const kinds =
    'serviceaccounts,workloadgroups,workloadentries,peerauthentications,sidecars,authorizationpolicies,serviceentries';
  const all = (await command('kubectl', '-n', namespace, 'get', kinds, '-o', 'name')).split('\n');
  return all.filter((object) => names.some((name) => object.includes(name)));
}

/** What is asked while workers come and go: an answer that says so is asked for again, as the API tells its callers. */
export async function ask<T>(call: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | undefined;
  await eventually(
    'the API answers',
    async () => {
      try {
        answer = { value: await call() };
      } catch (error) {
        // Told as the last error if it stays so.
        if (/answered (429|503|504)|fetch failed/.test(String(error))) throw error;
        throw new Unrecoverable(String(error), { cause: error });
      }
      return true;
    },
    // Workers that are killed one after another leave little time in which one answers.
    300_000,
  );
  if (answer === undefined) throw new Error('unreachable');
  return answer.value;
}

/** Waits for the operation's end, however it ends and whoever is there to tell. */
export async function endOf(api: Api, id: string, timeoutMs = 300_000, everyMs = 500): Promise<Operation> {
  let last: Operation | undefined;
  await eventually(
    `operation ${id} ends`,
    async () => {
      last = await api.operation(id);
      if (endPhases.includes(last.phase)) return true;
      throw new Error(`it is ${last.phase} and waits for ${last.waitingFor ?? 'nothing'}`);
    },
    timeoutMs,
    everyMs,
  );
  if (last === undefined) throw new Error(`Operation ${id} was never told`);
  return last;
}
