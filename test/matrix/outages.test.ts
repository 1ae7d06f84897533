/** Five minutes without the API server, Temporal or istiod in mid-install: the machine joins all the same, each effect once. */
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
  /** Installations, then lines of the journal that are there twice. */
  readonly effects: string;
  readonly offboarded: Operation;
  readonly left: readonly string[];
}

const platforms: Platform[] = [];

async function meet(begin: () => Promise<Outage>, name: string): Promise<Met> {
  const { platform, down, up } = await begin();
  platforms.push(platform);
  const machine = await platform.machine(name, 'shop');
  const asFound = await snapshot(machine);
  const { id } = await ask(() => platform.api.onboard(onboardRequest(platform.env, machine, machine.name)));
  await reaches(platform.api, id, 'installPackage');
  await down();
  await delay(OUTAGE_MS);
  await up();
  const joined = await endOf(platform.api, id, 900_000);
  const effects = await onMachine(
    machine,
    "grep -c ' installed istio-sidecar' /var/log/dpkg.log; cut -f 2- /var/lib/meshlift/journal | sort | uniq -d",
  );
  const offboarded = await endOf(platform.api, (await ask(() => platform.api.offboard('shop', machine.name))).id);
  const left = [...difference(asFound, await snapshot(machine)), ...(await objectsOf('shop', machine.name))];
  return { joined, effects, offboarded, left };
}

afterAll(async () => {
  for (const platform of platforms) await platform.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 120_000);

describe('five minutes without', () => {
  test.each([
    ['the API server', apiServer, 'long-api-server'],
    ['Temporal', temporal, 'long-temporal'],
    ['istiod', istiod, 'long-istiod'],
  ])(
    '%s: the machine joins, each effect once, and leaves as found',
    async (_, begin, name) => {
      const { joined, effects, offboarded, left } = await meet(begin, name);
      expect({ phase: joined.phase, message: joined.message }).toMatchObject({ phase: 'Succeeded' });
      expect(effects.trim()).toBe('1');
      expect({ phase: offboarded.phase, left }).toEqual({ phase: 'Succeeded', left: [] });
    },
    1_800_000,
  );
});
