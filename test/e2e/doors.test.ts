/** The API's doors in one process with the test: a cluster that cannot be asked, TLS beyond loopback, rate and connections. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';

import { KubernetesAccess } from '../../activities/adapters/kubernetes-access.ts';
import { buildApp } from '../../api/app.ts';
import { readApiConfig } from '../../api/config.ts';
import type { Problem } from '../../api/schemas/common.ts';
import { connectTemporal } from '../../api/temporal.ts';
import { type SandboxEnv, sandboxEnv } from '../../demo/sandbox-client.ts';
import { makeCallers, tokenOf } from '../support/callers.ts';
import { CLOSED_PORT } from '../support/listening-api.ts';
import { testNamespace, type TestNamespace } from '../support/namespaces.ts';

/** The sandbox's own bridge: an address that is not loopback, and that nobody beyond this machine reaches. */
const BRIDGE = '10.245.0.1';

const scratch = mkdtempSync(join(tmpdir(), 'meshlift-doors-'));
const certificate = { MESHLIFT_TLS_CERT: join(scratch, 'cert.pem'), MESHLIFT_TLS_KEY: join(scratch, 'key.pem') };
let env: SandboxEnv;
let namespace: TestNamespace;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  env = await sandboxEnv();
  namespace = await testNamespace('doors');
  await makeCallers([
    { name: 'one', namespace: namespace.name, verbs: ['list'] },
    { name: 'two', namespace: namespace.name, verbs: ['list'] },
  ]);
  await promisify(execFile)('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=meshlift', '-addext', `subjectAltName=IP:${BRIDGE}`],
    ...['-keyout', certificate.MESHLIFT_TLS_KEY, '-out', certificate.MESHLIFT_TLS_CERT],
  ]);
}, 60_000);

afterAll(async () => {
  await Promise.all(closing.map((close) => close()));
  await namespace.remove();
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

/** An API over no Temporal at all; `server` is the Kubernetes API that it asks. */
async function api(environment: Record<string, string>, server?: string): Promise<string> {
  const config = readApiConfig({ MESHLIFT_LISTEN: '127.0.0.1:0', TEMPORAL_ADDRESS: CLOSED_PORT, ...environment });
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile(env.kubeconfig);
  if (server !== undefined) {
    kubeConfig.loadFromClusterAndUser({ name: 'gone', server, skipTLSVerify: true }, { name: 'anyone' });
  }
  const temporal = connectTemporal(config.temporal);
  const app = await buildApp({ temporal, access: new KubernetesAccess(kubeConfig), config, logger: false });
  closing.push(async () => {
    await app.close();
    await temporal.close();
  });
  const { host, port } = config.listen;
  return await app.listen({ host, port });
}

const bearer = (token: string): RequestInit => ({ headers: { authorization: `Bearer ${token}` } });

test('a cluster that cannot be asked opens no door: 503, and the process stays live', async () => {
  const url = await api({}, `https://${CLOSED_PORT}`);
  const token = await tokenOf(namespace.name, 'one');
  const answer = await fetch(`${url}/v1/machines?namespace=${namespace.name}`, bearer(token));
  expect(answer.status).toBe(503);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  const problem = (await answer.json()) as Problem;
  expect(problem.type).toBe('urn:meshlift:problem:access-unavailable');
  expect(JSON.stringify(problem)).not.toMatch(/127\.0\.0\.1|ECONNREFUSED/);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
}, 30_000);

test('beyond loopback the API speaks TLS and asks for a token', async () => {
  const url = await api({ MESHLIFT_LISTEN: `${BRIDGE}:0`, ...certificate });
  expect(url).toMatch(/^https:/);
  const ca = readFileSync(certificate.MESHLIFT_TLS_CERT);
  const statusOf = async (path: string): Promise<number | undefined> => {
    const asked = httpsRequest(`${url}${path}`, { ca }).end();
    const [response] = (await once(asked, 'response')) as [{ statusCode?: number; resume: () => void }];
    response.resume();
    return response.statusCode;
  };
  expect(await statusOf('/livez')).toBe(200);
  expect(await statusOf('/v1/machines')).toBe(401);
  await expect(fetch(`${url.replace('https:', 'http:')}/livez`)).rejects.toThrow();
}, 30_000);

test('a caller who asks too often is told to wait, and another is not', async () => {
  const url = await api({ MESHLIFT_RATE_LIMIT: '3' });
  const [one, two] = await Promise.all(['one', 'two'].map((name) => tokenOf(namespace.name, name)));
  const ask = async (token = ''): Promise<Response> =>
    await fetch(`${url}/v1/machines?namespace=elsewhere`, bearer(token));
  for (let count = 0; count < 3; count += 1) expect((await ask(one)).status).toBe(403);
  const refused = await ask(one);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(2);
  expect(((await refused.json()) as Problem).type).toBe('urn:meshlift:problem:too-many-requests');
  expect((await ask(two)).status).toBe(403);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
}, 30_000);

test('connections past the limit are closed, and those that are open go on', async () => {
  const url = new URL(await api({ MESHLIFT_CONNECTIONS: '2' }));
  const open = async () => {
    const socket = connect(Number(url.port), url.hostname);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  const [first, second] = [await open(), await open()];
  const third = await open();
  if (!third.destroyed) await once(third, 'close');
  first.write('GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
  const [answer] = (await once(first, 'data')) as [Buffer];
  expect(answer.toString()).toContain('200 OK');
  for (const socket of [first, second, third]) socket.destroy();
}, 30_000);
