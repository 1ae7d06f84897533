/** How the API leaves its connections, on sockets of loopback: what was asked is answered, nothing else holds its close up. */
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';

import { afterEach, beforeEach, expect, test } from '@jest/globals';
import Fastify, { type FastifyInstance } from 'fastify';

import { endConnections } from '../../api/end-connections.ts';

const WITHIN_MS = 1_000;
const NOTHING = '';
const HALF_A_HEAD = 'GET /slow HTTP/1.1\r\nHost: here\r\n';
const REQUEST = `${HALF_A_HEAD}\r\n`;
const HALF_A_BODY =
  'POST /body HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"never":';

let app: FastifyInstance;
let answer: () => void;
let asked: Promise<void>;

beforeEach(async () => {
  app = Fastify();
  endConnections(app, WITHIN_MS);
  let isAsked: () => void = () => undefined;
  asked = new Promise((resolve) => (isAsked = resolve));
  const answered = new Promise<void>((resolve) => (answer = resolve));
  app.get('/slow', async () => {
    isAsked();
    await answered;
    return 'in full';
  });
  app.post('/body', () => 'never');
  await app.listen({ host: '127.0.0.1', port: 0 });
});

afterEach(async () => {
  await app.close();
});

interface Connected {
  /** Resolves with all it received once it has ended, in order or by a reset. */
  readonly ended: Promise<string>;
  readonly isOpen: () => boolean;
}

/** A connection that the server has taken and that has sent this. */
async function connected(sent: string): Promise<Connected> {
  const taken = once(app.server, 'connection');
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('utf8').on('data', (data: string) => (received += data));
  const ended = new Promise<string>((resolve) => {
    socket.on('close', () => {
      resolve(received);
    });
    socket.on('error', () => undefined);
  });
  await Promise.all([taken, once(socket, 'connect')]);
  if (sent !== NOTHING) await new Promise((resolve) => socket.write(sent, resolve));
  return { ended, isOpen: () => !socket.destroyed };
}

async function closingTakes(): Promise<number> {
  const from = performance.now();
  await app.close();
  return performance.now() - from;
}

test.each([
  ['nothing was asked', NOTHING],
  ['half a head was sent', HALF_A_HEAD],
])('a connection on which %s ends at once', async (_title, sent) => {
  const { ended } = await connected(sent);
  expect(await closingTakes()).toBeLessThan(WITHIN_MS);
  await ended;
});

test('a request that was accepted is answered in full, and the connections end with it', async () => {
  const idle = await connected(NOTHING);
  const asking = await connected(REQUEST);
  await asked;
  const closed = closingTakes();
  await new Promise(setImmediate);
  expect(asking.isOpen()).toBe(true);
  answer();
  expect(await closed).toBeLessThan(WITHIN_MS);
  expect(await asking.ended).toMatch(/^HTTP\/1.1 200 OK[^]*in full$/);
  expect(await idle.ended).toBe('');
});

test.each([
  ['whose body never comes', HALF_A_BODY],
  ['whose answer never comes', REQUEST],
])('a request %s ends when the time of all is over', async (_title, sent) => {
  const requested = once(app.server, 'request');
  const { ended } = await connected(sent);
  await requested;
  expect(await closingTakes()).toBeGreaterThanOrEqual(WITHIN_MS - 1);
  await ended;
});
