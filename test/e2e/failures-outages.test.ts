/** The cluster's API, istiod, the gateway or the package source fail: each in one condition or problem, or it is waited out. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { Client, Connection, WithStartWorkflowOperation } from '@temporalio/client';
import { ulid } from 'ulid';

import { KubernetesAccess } from '../../activities/adapters/kubernetes-access.ts';
import { buildApp } from '../../api/app.ts';
import { readApiConfig } from '../../api/config.ts';
import type { Problem } from '../../api/schemas/common.ts';
import type { OnboardMachine } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { connectTemporal } from '../../api/temporal.ts';
import { Api } from '../../demo/api-client.ts';
import { onboardRequest, sandboxEnv, type SandboxMachine } from '../../demo/sandbox-client.ts';
import type { MachineInput, OnboardRequest, Waits } from '../../workflows/messages.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { type ClusterProxy, clusterProxy } from '../support/cluster-proxy.ts';
import { ask, blockingOf, endOf, objectsOf, reaches } from '../support/operations.ts';
import { type Platform, startPlatform } from '../support/platform.ts';

const OUTAGE_MS = 20_000;
const scratch = mkdtempSync(join(tmpdir(), 'meshlift-outages-'));

let platform: Platform;
let cluster: ClusterProxy;
let packages: Awaited<ReturnType<typeof packageServer>>;
let temporal: Client;

/** The sandbox's packages over HTTP: as they are, with the checksum of another file, or not at all. */
async function packageServer(folder: string) {
  let isWrong = false;
  const server = createServer((call, answer) => {
    const file = join(folder, new URL(call.url ?? '', 'http://localhost').pathname);
    answer.end(isWrong && file.endsWith('.sha256') ? `${'0'.repeat(64)}\n` : readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    template: `http://127.0.0.1:${port}/istio-sidecar_{version}_{arch}.{format}`,
    lie: (isLying: boolean) => {
      isWrong = isLying;
    },
    down: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** As the API asks it, with waits that suit a test. */
async function onboard(body: OnboardMachine, waits: Waits): Promise<string> {
  const { namespace, name } = body;
  const operationId = `onboard-${namespace}-${name}-${ulid()}`;
  const entity = new WithStartWorkflowOperation<(input: MachineInput) => Promise<unknown>>('machine', {
    workflowId: `machine/${namespace}/${name}`,
    taskQueue: 'meshlift',
    args: [{ namespace, name, waits }],
    workflowIdConflictPolicy: 'USE_EXISTING',
  });
  const request: OnboardRequest = { operationId, bodyDigest: operationId, body };
  await temporal.workflow.executeUpdateWithStart('onboard', { args: [request], startWorkflowOperation: entity });
  return operationId;
}

const requestFor = (machine: SandboxMachine): OnboardMachine => onboardRequest(platform.env, machine, machine.name);

beforeAll(async () => {
  const env = await sandboxEnv();
  cluster = await clusterProxy(env.kubeconfig);
  packages = await packageServer(env.packages);
  platform = await startPlatform({
    workerKubeconfig: (account) => cluster.through(account, join(scratch, 'worker')),
    worker: {
      MESHLIFT_PACKAGES: packages.template,
      MESHLIFT_PACKAGE_CACHE: join(scratch, 'packages'),
    },
  });
  const connection = await Connection.connect({ address: env.temporalAddress });
  temporal = new Client({ connection, namespace: platform.env.temporalNamespace });
}, 120_000);

afterAll(async () => {
  await platform.stop();
  await temporal.connection.close();
  await cluster.down();
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

/** What istiod, its Deployment or its gateway's Service are answered as. */
interface Answered {
  readonly items?: { status?: { readyReplicas?: number } }[];
  readonly spec?: { externalIPs?: string[] };
  status?: object;
}

const rows: readonly {
  readonly title: string;
  readonly breaks: () => unknown;
  readonly finds: object;
  readonly says: RegExp;
}[] = [
  {
    title: 'a gateway without an address',
    breaks: () => {
      cluster.fail((call) =>
        call.endsWith('/services/istio-eastwestgateway')
          ? { edit: (body) => ({ ...(body as Answered), spec: {}, status: {} }) }
          : undefined,
      );
    },
    finds: { type: 'GatewayAddressKnown', reason: 'GatewayAddressMissing' },
    says: /install the gateway or give it one/,
  },
  {
    title: 'an istiod that is down',
    breaks: () => {
      cluster.fail((call) =>
        call.includes('/deployments?')
          ? {
              edit: (body) => ({
                ...(body as Answered),
                items: (body as Answered).items?.map((one) => ({ ...one, status: { readyReplicas: 0 } })),
              }),
            }
          : undefined,
      );
    },
    finds: { type: 'IstiodReady', reason: 'IstiodNotReady' },
    says: /no ready replica; see kubectl describe deploy/,
  },
  {
    title: 'a package whose checksum is wrong',
    breaks: () => {
      packages.lie(true);
    },
    finds: { type: 'PackageAvailable', reason: 'PackageChecksumWrong' },
    says: /differs from its \.sha256; fetch both again/,
  },
  {
    title: 'a package source that is down',
    breaks: () => packages.down(),
    finds: { type: 'PackageAvailable', reason: 'PackageSourceUnreachable' },
    says: /cannot be read \(.*\); check MESHLIFT_PACKAGES/,
  },
];

describe('the API server is down for 20 s while a machine joins, and the evidence fails while it leaves', () => {
  let machine: SandboxMachine;
  let asFound: string[];

  test('it joins all the same once the API server is back', async () => {
    machine = await platform.machine('outage-member', 'shop');
    asFound = await snapshot(machine);
    const id = await onboard(requestFor(machine), { notGivenOutMs: 6_000 });
    await reaches(platform.api, id, 'installPackage');
    await cluster.down();
    await delay(OUTAGE_MS);
    await cluster.up();
    const { phase, message } = await endOf(platform.api, id);
    expect({ phase, message }).toMatchObject({ phase: 'Succeeded' });
  }, 240_000);

  test('no proof from istiod: it stays a member, in load balancing', async () => {
    cluster.fail((call) => (call.includes('/portforward') ? { status: 503 } : undefined));
    const { id } = await ask(() => platform.api.offboard('shop', machine.name));
    const { phase, message } = await endOf(platform.api, id);
    expect(phase).toBe('Failed');
    expect(message).toMatch(/istiod.*stays a member/);
    expect((await ask(() => platform.api.machine('shop', machine.name))).phase).toBe('InMesh');
  }, 120_000);

  test('istiod comes back while it is waited for: the machine leaves as found', async () => {
    const { id } = await ask(() => platform.api.offboard('shop', machine.name));
    await reaches(platform.api, id, 'takeLease');
    cluster.fail(() => undefined);
    const { phase, message } = await endOf(platform.api, id);
    expect({ phase, message }).toMatchObject({ phase: 'Succeeded' });
    expect(difference(asFound, await snapshot(machine))).toEqual([]);
    expect(await objectsOf('shop', machine.name)).toEqual([]);
  }, 120_000);
});

describe('an onboarding that finds', () => {
  let machine: SandboxMachine;
  let asFound: string[];

  beforeAll(async () => {
    machine = await platform.machine('outage-refused', 'shop');
    asFound = await snapshot(machine);
    rmSync(join(scratch, 'packages'), { recursive: true, force: true });
  }, 60_000);

  test.each(rows)(
    '$title says so in one condition, with its cure, and touches nothing',
    async ({ breaks, finds, says }) => {
      await breaks();
      const operation: Operation = await endOf(
        platform.api,
        await onboard(requestFor(machine), { readableMs: 12_000 }),
      );
      cluster.fail(() => undefined);
      packages.lie(false);
      const conditions = blockingOf(operation);
      expect(conditions).toMatchObject([finds]);
      expect(conditions[0]?.message).toMatch(says);
      expect(operation).toMatchObject({ phase: 'Failed', message: expect.stringMatching(/^Nothing was touched: /) });
      expect(difference(asFound, await snapshot(machine))).toEqual([]);
      expect(await objectsOf('shop', machine.name)).toEqual([]);
    },
    120_000,
  );
});

test('an API whose TokenReview fails answers 503 to every caller, and lets nobody in', async () => {
  const proxied = new KubeConfig();
  proxied.loadFromFile(cluster.through(platform.accounts.api, join(scratch, 'api')));
  const { temporalAddress, temporalNamespace } = platform.env;
  const config = readApiConfig({
    MESHLIFT_LISTEN: '127.0.0.1:0',
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: temporalNamespace,
  });
  const connection = connectTemporal(config.temporal);
  const app = await buildApp({ temporal: connection, access: new KubernetesAccess(proxied), config, logger: false });
  try {
    const api = new Api(await app.listen(config.listen));
    cluster.fail((call) => (call.includes('/tokenreviews') ? { status: 500 } : undefined));
    const answer = await api.call<Problem>('GET', '/v1/machines', undefined, { authorization: 'Bearer anybodys' });
    expect({ status: answer.status, type: answer.body.type }).toEqual({
      status: 503,
      type: 'urn:meshlift:problem:access-unavailable',
    });
    cluster.fail(() => undefined);
    const refused = await api.call('GET', '/v1/machines', undefined, { authorization: 'Bearer anybodys' });
    expect(refused.status).toBe(401);
  } finally {
    await app.close();
    await connection.close();
  }
}, 60_000);
