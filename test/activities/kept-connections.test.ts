import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';

import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';

import { clientConfiguration } from '../../activities/adapters/kubernetes-client.ts';

type Answer = (call: IncomingMessage, response: ServerResponse) => void;

const namespace: Answer = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"kind":"Namespace","apiVersion":"v1"}');
};
const nothing: Answer = () => undefined;

let answer: Answer = namespace;
let server: Server;
let connections = 0;
let kubeConfig: KubeConfig;

beforeEach(async () => {
  answer = namespace;
  connections = 0;
  server = createServer((call, response) => {
    answer(call, response);
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  kubeConfig = new KubeConfig();
  kubeConfig.loadFromClusterAndUser(
    { name: 'here', server: `http://127.0.0.1:${port}`, skipTLSVerify: true },
    { name: 'someone', token: 'first' },
  );
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const client = (timeoutMs?: number): CoreV1Api => new CoreV1Api(clientConfiguration(kubeConfig, timeoutMs));
/** The connection is free again a moment after its answer. */
const read = async (core: CoreV1Api): Promise<void> => {
  await core.readNamespace({ name: 'shop' });
  await setImmediate();
};

test('calls of all clients of a kubeconfig share a connection', async () => {
  for (const core of [client(), client()]) {
    await read(core);
    await read(core);
  }
  expect(connections).toBe(1);
});

test('a connection that gave no answer is not used again', async () => {
  await read(client());
  answer = nothing;
  await expect(read(client(200))).rejects.toThrow();
  answer = namespace;
  await read(client());
  expect(connections).toBe(2);
});

test('a server that was away is called again', async () => {
  const core = client();
  await read(core);
  const { port } = server.address() as AddressInfo;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await expect(read(core)).rejects.toThrow();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await read(core);
  expect(connections).toBe(2);
});

test('a new token goes with the next call, and a new certificate has a connection of its own', async () => {
  const core = client();
  const tokens: (string | undefined)[] = [];
  answer = (call, response) => {
    tokens.push(call.headers.authorization);
    namespace(call, response);
  };
  const user = (more: object): void => {
    kubeConfig.users = [{ name: 'someone', ...more }];
  };
  await read(core);
  user({ token: 'second' });
  await read(core);
  expect([connections, ...tokens]).toEqual([1, 'Bearer first', 'Bearer second']);
  user({ token: 'second', certData: Buffer.from('renewed').toString('base64') });
  await read(core);
  expect(connections).toBe(2);
});
