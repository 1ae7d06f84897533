/** What istiod says of itself, read through real port-forwards. */
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { KubeConfig, PortForward } from '@kubernetes/client-node';

import { IstiodDebug, type IstiodPod } from '../../activities/adapters/istiod-debug.ts';
import { eventually } from '../../demo/eventually.ts';
import { sandboxEnv } from '../../demo/sandbox-client.ts';

interface Tunnel {
  readonly readyState: number;
  terminate(): void;
}

const CLOSED = 3;

const forwards = jest.spyOn(PortForward.prototype, 'portForward');
let debug: IstiodDebug;
let pod: IstiodPod;

beforeEach(async () => {
  forwards.mockClear();
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromFile((await sandboxEnv()).kubeconfig);
  debug = new IstiodDebug(kubeConfig, 'istio-system');
  const [first] = await debug.pods();
  if (first === undefined) throw new Error('No istiod runs');
  pod = first;
});
afterEach(async () => {
  await eventually('no connection is kept for long', async () =>
    (await tunnels()).every(({ readyState }) => readyState === CLOSED),
  );
});

/** Those that came about. */
async function tunnels(): Promise<readonly Tunnel[]> {
  const tried = await Promise.allSettled(forwards.mock.results.map(({ value }) => value as Promise<unknown>));
  return tried.flatMap((one) => (one.status === 'fulfilled' ? [one.value as Tunnel] : []));
}

test('reads one after the other share a connection', async () => {
  for (const path of ['/version', '/debug/syncz', '/debug/adsz']) expect(await debug.get(pod, path)).not.toBe('');
  expect(forwards).toHaveBeenCalledTimes(1);
});

test('reads at once have a connection each', async () => {
  const read = await Promise.all(['/version', '/debug/syncz'].map((path) => debug.get(pod, path)));
  expect(read).not.toContain('');
  expect(forwards).toHaveBeenCalledTimes(2);
});

test('a kept connection that breaks is replaced, and nobody hears of it', async () => {
  await debug.get(pod, '/version');
  const [tunnel] = await tunnels();
  tunnel?.terminate();
  expect(await debug.get(pod, '/debug/syncz')).not.toBe('');
  expect(forwards).toHaveBeenCalledTimes(2);
});

test('a path that istiod does not serve is its own answer, and a pod that is gone cannot be read', async () => {
  await expect(debug.get(pod, '/debug/none')).rejects.toMatchObject({
    type: 'EvidenceUnavailable',
    message: expect.stringMatching(/cannot be read at \/debug\/none \(HTTP 404/) as unknown,
  });
  await expect(debug.get({ name: 'istiod-gone', revision: 'default' }, '/version')).rejects.toMatchObject({
    type: 'EvidenceUnavailable',
  });
});
