/** A workflow that does other things where news and requests come at once than where they come one after the other. */
import { condition, defineQuery, defineSignal, defineUpdate, setHandler, sleep } from '@temporalio/workflow';

export const newsSignal = defineSignal('news');
export const askUpdate = defineUpdate<number, [isRefused: boolean]>('ask');
export const stateQuery = defineQuery<string>('state');

export async function woken(): Promise<void> {
  let [hasNews, asked, state] = [false, 0, 'waits for news'];
  setHandler(newsSignal, () => {
    hasNews = true;
  });
  setHandler(askUpdate, () => (asked += 1), {
    validator: (isRefused) => {
      if (isRefused) throw new Error('Refused, as was asked');
    },
  });
  setHandler(stateQuery, () => state);
  await condition(() => hasNews);
  // As workflows do that call functions of their own.
  for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  state = 'waits for a request';
  await condition(() => asked > 0);
  await sleep('1 hour');
}
