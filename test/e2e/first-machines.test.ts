/** The main job, end to end: machines of two namespaces join while they serve, work in the mesh, and leave as they came. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import type { MachineList, Plan } from '../../api/schemas/machine.ts';
import type { Problem } from '../../api/schemas/common.ts';
import { eventually } from '../../demo/eventually.ts';
import { startLoad } from '../../demo/load.ts';
import { onboardRequest, podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { applyObjects } from '../../demo/target.ts';
import { difference, snapshot } from '../support/as-found.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { retriesOfMachine, retriesOfPod } from '../support/retries.ts';
import { command, kubectl, onMachine } from '../support/sandbox.ts';

interface Echo {
  readonly hostname: string;
  readonly forwardedClientCert: string;
}
interface WorkloadEntry {
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
  readonly spec: { readonly address: string; readonly labels: Record<string, string>; readonly serviceAccount: string };
  readonly status?: { readonly conditions?: { readonly type: string; readonly status: string }[] };
}

/** Group, Service and account of this file's own: the demo of another file moves the workload of `orders` to pods meanwhile. */
const group = 'first';

let platform: Platform;
let first: SandboxMachine;
let second: SandboxMachine;
let ledger: SandboxMachine;
let outsider: SandboxMachine;
let frontend: string;
let asFound: string[];

beforeAll(async () => {
  platform = await startPlatform();
  const spec = { selector: { app: group }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] };
  await applyObjects([{ apiVersion: 'v1', kind: 'Service', metadata: { name: group, namespace: 'shop' }, spec }]);
  first = await platform.machine('first-1', 'shop');
  second = await platform.machine('first-2', 'shop');
  ledger = await platform.machine('first-ledger', 'bank');
  outsider = await platform.machine('first-caller', 'shop');
  frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  asFound = await snapshot(second);
}, 300_000);

afterAll(async () => {
  await platform.stop();
  await command('kubectl', '-n', 'shop', 'delete', 'service', group);
}, 60_000);

/** What an app answers when it is asked to call a URL from where it stands. */
async function callFrom(app: string, url: string): Promise<Echo> {
  const response = await fetch(`${app}/call?url=${encodeURIComponent(url)}`);
  const answer = (await response.json()) as { status?: number; body?: string; error?: string };
  if (answer.status !== 200) throw new Error(`${url} from ${app}: ${JSON.stringify(answer)}`);
  return JSON.parse(answer.body ?? '') as Echo;
}

const entriesOf = async (namespace: string): Promise<WorkloadEntry[]> =>
  (await kubectl<{ items: WorkloadEntry[] }>('-n', namespace, 'get', 'workloadentry')).items;

const requestFor = (machine: SandboxMachine): ReturnType<typeof onboardRequest> =>
  onboardRequest(platform.env, machine, machine.namespace === 'bank' ? machine.name : group);

/** What a second run must not change: the unit's run, every file's time, every object's version. */
async function fingerprint(machine: SandboxMachine): Promise<string> {
  const onHost = await onMachine(
    machine,
    `systemctl show -p InvocationID istio; stat -c '%n %Y' /etc/hosts /etc/certs/root-cert.pem /var/lib/istio/envoy/cluster.env /etc/istio/config/mesh; find /var/lib/meshlift -type f -printf '%p %T@\\n' | sort`,
  );
  const objects = await command(
    'kubectl',
    '-n',
    machine.namespace,
    'get',
    'serviceaccounts,workloadgroups,peerauthentications,sidecars',
    '-o',
    'jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}',
  );
  return `${onHost}\n${objects}`;
}

describe('onboarding', () => {
  test('takes two machines of shop and one of bank in at once, while they serve plaintext load, and no request fails', async () => {
    const load = await startLoad(
      `http://${outsider.address}:8080`,
      [first, second, ledger].map(({ address }) => `http://${address}:8080/`),
      100,
    );
    await eventually('the load runs', async () => (await load.report()).sent > 200);
    const accepted = await Promise.all(
      [first, second, ledger].map(async (machine) => await platform.api.onboard(requestFor(machine))),
    );
    const operations = await Promise.all(accepted.map(async ({ id }) => await platform.api.finished(id)));
    const sentSoFar = (await load.report()).sent;
    await eventually('the load outlives the last step', async () => (await load.report()).sent > sentSoFar + 200);
    const report = await load.stop();

    expect(operations.map(({ phase, message }) => ({ phase, message }))).toEqual(
      operations.map(({ message }) => ({ phase: 'Succeeded', message })),
    );
    expect({ failed: report.failed, reasons: report.reasons }).toEqual({ failed: 0, reasons: {} });
    expect(report.sent).toBeGreaterThan(400);
  }, 300_000);

  test('lets a pod reach the service on both machines over mTLS, as itself', async () => {
    const seen = new Map<string, string>();
    await eventually('both machines answered', async () => {
      const echo = await callFrom(frontend, `http://${group}.shop.svc.cluster.local/`);
      seen.set(echo.hostname, echo.forwardedClientCert);
      return seen.has(first.name) && seen.has(second.name);
    });
    for (const certificate of seen.values()) {
      expect(certificate).toContain('URI=spiffe://cluster.local/ns/shop/sa/frontend');
    }
  }, 60_000);

  test('lets a machine reach a pod service of its namespace by name, as itself', async () => {
    const echo = await callFrom(`http://${first.address}:8080`, 'http://catalog.shop.svc.cluster.local/');
    expect(echo.forwardedClientCert).toContain('URI=spiffe://cluster.local/ns/shop/sa/first');
  }, 60_000);

  test('agrees with the cluster, istioctl and the machine on what the machine is', async () => {
    const known = await platform.api.machine('shop', first.name);
    expect(known).toMatchObject({
      phase: 'InMesh',
      workloadGroup: group,
      proxy: {
        revision: '1-30-0',
        runningVersion: '1.30.0',
        installedVersion: '1.30.0',
        connected: true,
        configAccepted: true,
      },
      identity: { spiffeId: 'spiffe://cluster.local/ns/shop/sa/first' },
    });
    const entry = (await entriesOf('shop')).find(({ spec }) => spec.address === first.address);
    expect(entry).toMatchObject({
      spec: { serviceAccount: group, labels: { app: group, 'meshlift.dev/machine': first.name } },
      status: { conditions: expect.arrayContaining([expect.objectContaining({ type: 'Healthy', status: 'True' })]) },
    });
    expect(entry?.metadata.annotations).toHaveProperty(['istio.io/connectedAt']);
    const status = await command('istioctl', 'proxy-status', '--revision', '1-30-0');
    expect(status).toMatch(
      new RegExp(`^${first.name}\\.shop\\s+Kubernetes\\s+istiod-1-30-0-\\S+\\s+1\\.30\\.0\\s`, 'm'),
    );
    expect(await onMachine(first, "systemctl is-active istio; dpkg-query -W -f '${Version}' istio-sidecar")).toBe(
      'active\n1.30.0',
    );
    expect(await onMachine(first, "stat -c '%a %U:%G' /var/run/secrets/tokens/istio-token")).toBe(
      '600 istio-proxy:istio-proxy\n',
    );
  }, 60_000);

  test('shows in lists of the API and of Temporal', async () => {
    const { body } = await platform.api.call<MachineList>('GET', '/v1/machines?namespace=shop&phase=InMesh');
    const names = body.machines.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([first.name, second.name]));
    expect(names).not.toContain(ledger.name);
    const listed = await platform.temporal('workflow', 'list', '--query', 'MeshliftNamespace="shop"');
    expect(listed).toContain(`machine/shop/${first.name}`);
    expect(listed).not.toContain('machine/bank/');
  }, 60_000);

  test('changes nothing when the same request comes again', async () => {
    const before = await fingerprint(first);
    const { id } = await platform.api.onboard(requestFor(first));
    const operation = await platform.api.finished(id);
    expect(operation.phase).toBe('Succeeded');
    expect(
      operation.steps
        .filter(({ phase }) => phase === 'Succeeded')
        .map(({ name }) => name)
        .filter((name) => !/^(verify|read)/i.test(name)),
    ).toEqual([]);
    expect(await fingerprint(first)).toBe(before);
  }, 120_000);

  test('loses no request of the mesh, in either direction, while another machine joins the service', async () => {
    const [there, back] = await Promise.all([
      startLoad(frontend, [`http://${group}.shop.svc.cluster.local/`], 50),
      startLoad(`http://${first.address}:8080`, ['http://catalog.shop.svc.cluster.local/'], 50),
    ]);
    const joining = await platform.machine('first-3', 'shop');
    const { id } = await platform.api.onboard(requestFor(joining));
    expect(await platform.api.finished(id)).toMatchObject({ phase: 'Succeeded' });
    await eventually('the service spreads over the new machine', async () => {
      const { answeredBy } = await there.report();
      return (answeredBy[joining.name] ?? 0) > 20;
    });
    const reports = await Promise.all([there.stop(), back.stop()]);
    expect(reports.map(({ failed, reasons }) => ({ failed, reasons }))).toEqual([
      { failed: 0, reasons: {} },
      { failed: 0, reasons: {} },
    ]);
    const retries = await Promise.all([
      retriesOfPod('shop', 'frontend', `${group}.shop.svc.cluster.local`),
      retriesOfMachine(first, 'catalog.shop.svc.cluster.local'),
    ]);
    expect(retries).toEqual([0, 0]);
  }, 180_000);

  test('refuses another request for a machine that is in', async () => {
    const other = { ...requestFor(first), workloadGroup: 'other' };
    const { status, body } = await platform.api.call<Problem>('POST', '/v1/machines', other);
    expect(status).toBe(409);
    expect(body.detail).toContain(`shop/${first.name}`);
  });
});

describe('refusals', () => {
  const notInMesh = async (): Promise<void> => {
    const listing = await command('kubectl', '-n', 'shop', 'get', 'peerauthentications,sidecars', '-o', 'name');
    expect(listing).not.toContain(outsider.name);
    expect(await onMachine(outsider, 'ls -d /var/lib/meshlift /var/lib/istio 2>/dev/null || true')).toBe('');
  };

  const endsWith = async (
    change: (request: ReturnType<typeof requestFor>) => unknown,
  ): Promise<{ phase: string; faults: string[]; messages: string }> => {
    const { status, body } = await platform.api.call<{ id: string }>(
      'POST',
      '/v1/machines',
      change(requestFor(outsider)),
    );
    expect(status).toBe(202);
    const operation = await platform.api.finished(body.id);
    const faults = operation.conditions.filter(
      ({ status: holds, category }) => holds !== 'True' && category === 'Critical',
    );
    return {
      phase: operation.phase,
      faults: faults.map(({ type }) => type),
      messages: faults.map(({ message }) => message).join('\n'),
    };
  };

  test('names a host key that is not the pinned one, and logs in nowhere', async () => {
    const fingerprintOfNobody = `SHA256:${'A'.repeat(43)}`;
    const end = await endsWith((request) => ({
      ...request,
      host: { ...request.host, hostKey: { fingerprint: fingerprintOfNobody } },
    }));
    expect(end).toMatchObject({ phase: 'Failed', faults: ['HostKeyTrusted'] });
    expect(end.messages).toContain(outsider.address);
    await notInMesh();
  }, 120_000);

  test('names a machine that cannot be reached', async () => {
    const end = await endsWith((request) => ({ ...request, host: { ...request.host, port: 9 } }));
    expect(end).toMatchObject({ phase: 'Failed', faults: ['Reachable'] });
    await notInMesh();
  }, 120_000);

  test('names a namespace that does not exist', async () => {
    const end = await endsWith((request) => ({ ...request, namespace: 'nowhere' }));
    expect(end.phase).toBe('Failed');
    expect(end.faults).toContain('NamespaceExists');
    await notInMesh();
  }, 120_000);

  test('names a machine whose hostname is another', async () => {
    const end = await endsWith((request) => ({ ...request, name: 'somebody-else' }));
    expect(end).toMatchObject({ phase: 'Failed', faults: ['HostnameMatches'] });
    expect(end.messages).toContain('somebody-else');
    expect(end.messages).toContain(outsider.name);
    await notInMesh();
  }, 120_000);

  test('refuses an unknown field before anything starts', async () => {
    const { status, body } = await platform.api.call<Problem>('POST', '/v1/machines', {
      ...requestFor(outsider),
      hots: {},
    });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(JSON.stringify(body)).toContain('hots');
    await notInMesh();
  });
});

describe('a plan', () => {
  test('tells every file and object, masks the token, and touches neither side', async () => {
    // Other files work in the namespace at the same time.
    const objects = async (): Promise<string[]> =>
      (
        await command(
          ...(['kubectl', '-n', 'shop', 'get', 'serviceaccounts,workloadgroups,peerauthentications,sidecars'] as const),
          ...['-o', 'name'],
        )
      )
        .split('\n')
        .filter((name) => name.includes(outsider.name) || name.endsWith(`/${group}`));
    const before = [await snapshot(outsider), await objects()];
    const { status, body } = await platform.api.call<Plan>(
      'POST',
      '/v1/machines?validateOnly=true',
      requestFor(outsider),
    );
    expect(status).toBe(200);
    expect(
      body.conditions.filter(({ status: holds, category }) => category === 'Critical' && holds !== 'True'),
    ).toEqual([]);
    expect(body.files.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        '/var/lib/istio/envoy/cluster.env',
        '/etc/istio/config/mesh',
        '/etc/certs/root-cert.pem',
        '/var/run/secrets/tokens/istio-token',
      ]),
    );
    expect(JSON.stringify(body)).not.toContain('eyJ');
    expect(body.objects.length).toBeGreaterThanOrEqual(2);
    expect(body.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['installPackage', 'writeBootstrapFiles', 'startProxy']),
    );
    expect([await snapshot(outsider), await objects()]).toEqual(before);
  }, 120_000);
});

describe('offboarding', () => {
  test('leaves the machine as found and nothing of it in the cluster, while plaintext callers go on', async () => {
    const load = await startLoad(`http://${outsider.address}:8080`, [`http://${second.address}:8080/`], 50);
    const { id } = await platform.api.offboard('shop', second.name);
    const operation = await platform.api.finished(id);
    const report = await load.stop();
    expect({ phase: operation.phase, message: operation.message }).toMatchObject({ phase: 'Succeeded' });
    expect({ failed: report.failed, reasons: report.reasons }).toEqual({ failed: 0, reasons: {} });
    expect(difference(asFound, await snapshot(second))).toEqual([]);
    expect((await entriesOf('shop')).map(({ spec }) => spec.address)).not.toContain(second.address);
    const objects = await command(
      'kubectl',
      '-n',
      'shop',
      'get',
      'peerauthentications,sidecars,authorizationpolicies',
      '-o',
      'name',
    );
    expect(objects).not.toContain(second.name);
    expect(objects).toContain(first.name);
    expect((await platform.api.machine('shop', second.name)).phase).toBe('Offboarded');
  }, 180_000);

  test('takes the group away with its last machine', async () => {
    const { id } = await platform.api.offboard('bank', ledger.name);
    expect((await platform.api.finished(id)).phase).toBe('Succeeded');
    const left = await command(
      'kubectl',
      '-n',
      'bank',
      'get',
      'workloadgroups,workloadentries,peerauthentications,sidecars,serviceaccounts',
      '-o',
      'name',
    );
    expect(left).not.toContain(ledger.name);
  }, 180_000);

  test('says so when there is no such machine', async () => {
    const { status } = await platform.api.call('DELETE', '/v1/machines/shop/never-there');
    expect(status).toBe(404);
  });
});
