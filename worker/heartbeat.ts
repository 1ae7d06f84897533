/** Heartbeats every activity each second, so that a dead worker is noticed soon and a cancel arrives while an activity runs. */
import { Context } from '@temporalio/activity';
import type { ActivityInterceptors } from '@temporalio/worker';

const EVERY_MS = 1_000;

export function heartbeatInterceptor(): ActivityInterceptors {
  return {
    inbound: {
      async execute(input, next) {
        const context = Context.current();
        const timer = setInterval(() => {
          context.heartbeat();
        }, EVERY_MS);
        try {
          return await next(input);
        } finally {
          clearInterval(timer);
        }
      },
    },
  };
}
