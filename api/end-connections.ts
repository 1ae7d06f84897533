/** The end of the API's connections: none that waits for nothing holds its stop up, and none for ever. */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Kubernetes kills what has not stopped within 30 s of SIGTERM [kubernetes, pod-lifecycle: terminationGracePeriodSeconds]. */
const ANSWERED_WITHIN_MS = 25_000;

/** Of a fastify app. */
interface Closing {
  readonly server: Server;
  addHook(name: 'preClose', hook: (done: () => void) => void): unknown;
}

/**
 * Once the app closes: as soon as every request that it accepted is answered, and after `withinMs` at the latest, all of its connections
 * end. Node's own close takes one on which no request has come yet for one in use [nodejs/node#63452, not in Node 24], and stops the clock
 * that would time it out [node, lib/_http_server.js: httpServerPreClose]: a browser that connects ahead of its requests, or whoever sends
 * half a request, would hold the stop up for as long as they like.
 */
export function endConnections(app: Closing, withinMs = ANSWERED_WITHIN_MS): void {
  const sockets = new Set<Socket>();
  let unanswered = 0;
  let isClosing = false;
  const endAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const endUnneeded = (): void => {
    if (isClosing && unanswered === 0) endAll();
  };
  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    endUnneeded();
  });
  app.server.on('request', (_request: unknown, response: ServerResponse) => {
    unanswered++;
    response.once('close', () => {
      unanswered--;
      endUnneeded();
    });
  });
  app.addHook('preClose', (done) => {
    isClosing = true;
    endUnneeded();
    setTimeout(endAll, withinMs).unref();
    done();
  });
}
