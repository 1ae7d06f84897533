/** Five minutes without the API server, Temporal or istiod in mid-install: the machine joins once, or is as found and says why. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, describe, expect, test } from '@jest/globals';

import type { Operation } from '../../api/schemas/operation.ts';
import { onboardRequest, sandboxEnv } from '../../demo/sandbox-client.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { clusterProxy } from '../support/cluster-proxy.ts';
import { ask, endOf, objectsOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { command, onMachine } from '../support/sandbox.ts';
import { tcpDoor } from '../support/tcp-door.ts';

const OUTAGE_MS = 300_000;
const scratch = mkdtempSync(join(tmpdir(), 'meshlift-outages-'));

interface Outage {
  readonly platform: Platform;
  readonly down: () => Promise<unknown>;
  readonly up: () => Promise<unknown>;
}

async function apiServer(): Promise<Outage> {
  const cluster = await clusterProxy((await sandboxEnv()).kubeconfig);
  const workerKubeconfig = (account: string): string => cluster.through(account, join(scratch, 'worker'));
  return { platform: await startPlatform({ workerKubeconfig }), down: cluster.down, up: cluster.up };
}

async function temporal(): Promise<Outage> {
  const door = await tcpDoor((await sandboxEnv()).temporalAddress);
  const through = { TEMPORAL_ADDRESS: door.address };
  return { platform: await startPlatform({ worker: through, apiEnv: through }), down: door.down, up: door.up };
}

async function istiod(): Promise<Outage> {
  const scale = async (replicas: number): Promise<unknown> =>
    await command('kubectl', '-n', 'istio-system', 'scale', 'deployment/istiod-1-30-0', `--replicas=${replicas}`);
  const up = async (): Promise<void> => {
    await scale(2);
    await command('kubectl', '-n', 'istio-system', 'rollout', 'status', 'deployment/istiod-1-30-0', '--timeout=120s');
  };
  return { platform: await startPlatform(), down: async () => await scale(0), up };
}

interface Met {
  readonly joined: Operation;
  readonly effects: string;
  /** What was left right after the operation; of one that joined, after its offboarding. */
  readonly left: readonly string[];
  /** How the next request ended, once all is well: of one that joined its offboarding, else another onboarding. */
  readonly next: Operation;
}

async function meet({ platform, down, up }: Outage, name: string): Promise<Met> {
  const machine = await platform.machine(name, 'shop');
  const asFound = await snapshot(machine);
  const request = onboardRequest(platform.env, machine, machine.name);
  const leftOver = async (): Promise<string[]> => [
    ...difference(asFound, await snapshot(machine)),
    ...(await objectsOf('shop', machine.name)),
  ];
  const { id } = await ask(() => platform.api.onboard(request));
  await reaches(platform.api, id, 'installPackage');
  await down();
  await delay(OUTAGE_MS);
  await up();
  const joined = await endOf(platform.api, id, 900_000);
  const effects = await onMachine(
    machine,
    "grep -c ' installed istio-sidecar' /var/log/dpkg.log; cut -f 2- /var/lib/meshlift/journal 2>/dev/null | sort | uniq -d",
  );
  const isMember = joined.phase === 'Succeeded';
  const left = isMember ? [] : await leftOver();
  const then = await ask(() =>
    isMember ? platform.api.offboard('shop', machine.name) : platform.api.onboard(request),
  );
  const next = await endOf(platform.api, then.id);
  return { joined, effects, left: isMember ? await leftOver() : left, next };
}

const platforms: Platform[] = [];
const run = async (begin: () => Promise<Outage>, name: string): Promise<Met> => {
  const outage = await begin();
  platforms.push(outage.platform);
  return await meet(outage, name);
};

afterAll(async () => {
  for (const platform of platforms) await platform.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

describe('five minutes without', () => {
  test.each([
    ['the API server', apiServer, 'long-api-server'],
    ['Temporal', temporal, 'long-temporal'],
  ])(
    '%s: the machine joins, each effect once, and leaves as found',
    async (_, begin, name) => {
      const { joined, effects, left, next } = await run(begin, name);
      expect({ phase: joined.phase, message: joined.message }).toMatchObject({ phase: 'Succeeded' });
      expect(effects.trim()).toBe('1');
      expect({ phase: next.phase, left }).toEqual({ phase: 'Succeeded', left: [] });
    },
    1_800_000,
  );

  test('istiod: the onboarding is taken back, names it, and succeeds when it is asked again', async () => {
    const { joined, left, next } = await run(istiod, 'long-istiod');
    expect(joined.phase).toBe('RolledBack');
    expect(joined.message).toMatch(/istiod/);
    expect(left).toEqual([]);
    expect({ phase: next.phase, message: next.message }).toMatchObject({ phase: 'Succeeded' });
  }, 1_800_000);
});
