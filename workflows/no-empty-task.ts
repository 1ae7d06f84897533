/**
 * No workflow task ends without a command. A worker that does not have the workflow in its cache reads an empty task together with the
 * one after it, and gives the workflow what came with both at once, updates first; where the second one brought an update, later
 * replays give it one after the other, as it came. What the workflow did then is not what it does, and it is stuck for good
 * [https://github.com/temporalio/sdk-rust/issues/1146, open in November 2026]. A worker that is replaced while callers repeat their
 * requests is enough.
 */
import { defaultPayloadConverter, type WorkflowInterceptors } from '@temporalio/workflow';

/** Takes away a field of the memo that is not there: all it leaves is an event between the two tasks. */
const nothing = {
  modifyWorkflowProperties: { upsertedMemo: { fields: { none: defaultPayloadConverter.toPayload(undefined) } } },
};

export const interceptors = (): WorkflowInterceptors => {
  let hasNews = false;
  return {
    internals: [
      {
        activate: (input, next) => {
          hasNews = input.activation.jobs?.some(({ doUpdate }) => !doUpdate) === true;
          next(input);
        },
        concludeActivation: (input, next) => {
          const { commands } = next(input);
          // An update that is refused is not in the history: a task with nothing else is not there either.
          const isEmpty = commands.every(({ updateResponse }) => updateResponse?.rejected);
          return { commands: hasNews && isEmpty ? [...commands, nothing] : commands };
        },
      },
    ],
  };
};
