/** Secrets stay where they belong: a machine joins and leaves, two onboardings fail, and every trace of it is searched for them. */
import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { onboardRequest } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { watchProcesses } from '../support/process-lists.ts';
import { command, onMachine } from '../support/sandbox.ts';

/** A login whose key nobody can parse: what is said of it must not quote it. */
const broken = {
  name: `broken-${Date.now().toString(36)}-ssh`,
  line: Buffer.from('what nobody may ever see of a key that cannot be parsed').toString('base64'),
};
let platform: Platform;

beforeAll(async () => {
  platform = await startPlatform();
  const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${broken.line}\n-----END OPENSSH PRIVATE KEY-----\n`;
  await applyObjects([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/ssh-auth',
      metadata: { name: broken.name, namespace: 'meshlift-system' },
      stringData: { 'ssh-privatekey': pem },
    },
  ]);
}, 120_000);

afterAll(async () => {
  await command('kubectl', '-n', 'meshlift-system', 'delete', 'secret', broken.name);
  await platform.stop();
}, 60_000);

/** As it stands, and as it reads inside base64, wherever in a group of three bytes it begins. */
function formsOf(text: string): string[] {
  const inBase64 = [0, 1, 2].map((before) => {
    const whole = Buffer.from(`${' '.repeat(before)}${text}`);
    // The first and the last group hold neighbours' bits.
    return whole.toString('base64').slice(before === 0 ? 0 : 4, Math.floor(whole.length / 3) * 4);
  });
  return [text, ...inBase64];
}

/** Lines of a PEM's body; the first of an OpenSSH key says which kind it is, and every key begins so. */
const linesOf = (pem: string): string[] => pem.split('\n').filter((line) => /^[A-Za-z0-9+/]{40,}={0,2}$/.test(line));

/** Every execution of this file's own namespace of Temporal: entity, operations, plans. */
async function histories(): Promise<Map<string, string>> {
  const listed = JSON.parse(await platform.temporal('workflow', 'list')) as {
    readonly execution: { readonly workflowId: string; readonly runId: string };
  }[];
  const shown = listed.map(async ({ execution: { workflowId, runId } }): Promise<[string, string]> => {
    const history = await platform.temporal('workflow', 'show', '--workflow-id', workflowId, '--run-id', runId);
    return [workflowId, history];
  });
  return new Map(await Promise.all(shown));
}

async function answer(path: string, init: RequestInit = {}): Promise<string> {
  const response = await fetch(`${platform.env.meshliftApi}${path}`, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
  return text;
}

// Neither the API nor the worker of Meshlift has an endpoint of metrics: those of the machine's proxy are all there are.
test('keys and tokens are in no history, log, process list, answer or metrics', async () => {
  const machine = await platform.machine('canary-1', 'shop');
  const request = onboardRequest(platform.env, machine, machine.name);
  const processes = watchProcesses();
  const answers: string[] = [];
  const follow = async ({ id }: Operation): Promise<Operation> => {
    const [events, operation] = await Promise.all([answer(`/v1/operations/${id}/events`), platform.api.finished(id)]);
    answers.push(events, await answer(`/v1/operations/${id}`));
    return operation;
  };
  const plan = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) };
  answers.push(await answer('/v1/machines?validateOnly=true', plan));

  const unparsable = { ...request, host: { ...request.host, credentialsName: broken.name } };
  const refused = await follow(await platform.api.onboard(unparsable));
  expect([refused.phase, refused.message]).toEqual(['Failed', expect.stringContaining(broken.name)]);
  const stranger = { ...request, host: { ...request.host, user: 'stranger' } };
  const rejected = await follow(await platform.api.onboard(stranger));
  expect([rejected.phase, rejected.message]).toEqual(['Failed', expect.stringContaining('stranger')]);
  const onboarded = await follow(await platform.api.onboard(request));
  expect(onboarded.phase).toBe('Succeeded');

  const [token, proxyKey] = await Promise.all([
    onMachine(machine, 'cat /var/run/secrets/tokens/istio-token'),
    onMachine(machine, 'cat /etc/certs/key.pem'),
  ]);
  const metrics = await (await fetch(`http://${machine.address}:15020/stats/prometheus`)).text();
  expect(metrics).toContain('envoy_server_live');
  const path = `/v1/machines/shop/${machine.name}`;
  for (const read of [path, '/v1/machines', '/v1/operations', '/openapi.json']) answers.push(await answer(read));
  const offboarded = await follow(await platform.api.offboard('shop', machine.name));
  expect(offboarded.phase).toBe('Succeeded');
  answers.push(await answer(path));
  const commandLines = await processes.stop();

  const secrets = {
    "the worker's SSH key": linesOf(readFileSync(platform.env.sshKey, 'utf8')).slice(1),
    'the login that cannot be parsed': [broken.line],
    'the istio token': [token.trim().split('.')[2] ?? ''],
    "the proxy's key": linesOf(proxyKey),
  };
  const found = await histories();
  const operations = [refused, rejected, onboarded, offboarded].map(({ id }) => id);
  expect([...found.keys()]).toEqual(expect.arrayContaining([`machine/shop/${machine.name}`, ...operations]));
  const journal = await onMachine(machine, 'journalctl --no-pager -o cat');
  const places = {
    ...Object.fromEntries([...found].map(([id, history]) => [`the history of ${id}`, history])),
    'the logs of worker and API': platform.logs(),
    'process lists': commandLines.join('\n'),
    'answers of the API': answers.join('\n'),
    "the machine's journal": journal,
  };
  // Commands of Meshlift on the machine were seen while they ran.
  expect(commandLines.filter((line) => line.includes('/var/lib/meshlift'))).not.toEqual([]);
  const isIn = (text: string, place: string): boolean => formsOf(text).some((form) => place.includes(form));
  // What is no secret is found in each place, so the search finds what is there.
  for (const [place, text] of Object.entries(places)) {
    expect({ place, isSearched: isIn(machine.name, text) }).toEqual({ place, isSearched: true });
  }
  for (const [secret, texts] of Object.entries(secrets)) {
    expect({ secret, isLong: texts.length > 0 && texts.every((text) => text.length >= 40) }).toEqual({
      secret,
      isLong: true,
    });
    const leaks = Object.entries({ ...places, metrics }).filter(([, place]) => texts.some((text) => isIn(text, place)));
    expect({ secret, leaks: leaks.map(([place]) => place) }).toEqual({ secret, leaks: [] });
  }
}, 240_000);
