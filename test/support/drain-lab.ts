/** Machines behind Services in a namespace of the test's own, so that proof waits for nobody else's broken proxies. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { KubeConfig } from '@kubernetes/client-node';

import { IstioMesh } from '../../activities/adapters/istio-mesh.ts';
import type { OnboardMachine, Plan } from '../../api/schemas/machine.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import { type LoadReport, type RunningLoad, startLoad } from '../../demo/load.ts';
import { onboardRequest, podAddress, type SandboxMachine } from '../../demo/sandbox-client.ts';
import { machinesBinding } from './deployed.ts';
import { testNamespace, type TestNamespace } from './namespaces.ts';
import { endOf } from './operations.ts';
import type { Platform } from './platform.ts';
import { command } from './sandbox.ts';

export interface DrainLab {
  readonly namespace: TestNamespace;
  /** A machine with every app, not onboarded yet. */
  readonly machine: (name: string) => Promise<SandboxMachine>;
  /** Labels `app: <group>` and `checkout: 'true'` where asked; throws unless it succeeds. */
  readonly onboard: (machine: SandboxMachine, group: string, more?: Partial<OnboardMachine>) => Promise<void>;
  /** Asks for a verb and waits for its end, however it ends. */
  readonly run: (machine: SandboxMachine, verb: string, body?: object) => Promise<Operation>;
  readonly ask: (machine: SandboxMachine, verb: string, body?: object) => Promise<Operation>;
  /** What the verb would find and do. */
  readonly plan: (machine: SandboxMachine, verb: string, body: object) => Promise<Plan>;
  readonly remove: () => Promise<void>;
}

const ports = [
  { name: 'http', port: 80, targetPort: 8080 },
  { name: 'grpc', port: 9090, targetPort: 9090 },
  { name: 'tcp', port: 7070, targetPort: 7070 },
];

/** Services by the app label of each group, and `checkout` over the machines that carry its label. */
export async function drainLab(platform: Platform, prefix: string, groups: readonly string[]): Promise<DrainLab> {
  const namespace = await testNamespace(prefix, ['istio.io/rev=1-30-0']);
  const service = (name: string, selector: object): object => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: namespace.name },
    spec: { selector, ports },
  });
  await apply([
    {
      apiVersion: 'meshlift.dev/v1alpha1',
      kind: 'HostPolicy',
      metadata: { name: namespace.name },
      spec: { namespaces: [namespace.name], cidrs: ['10.245.0.0/24'], credentials: ['*'], users: ['*'] },
    },
    machinesBinding(namespace.name),
    ...groups.map((group) => service(group, { app: group })),
    service('checkout', { checkout: 'true' }),
  ]);
  // Authorisation follows a new binding a moment later.
  await eventually('the worker may manage machines of the namespace', async () => {
    const account = 'system:serviceaccount:meshlift-system:meshlift';
    const asked = ['auth', 'can-i', 'get', 'workloadgroups.networking.istio.io', '--namespace', namespace.name];
    return (await command('kubectl', ...asked, '--as', account)).includes('yes');
  });
  const post = async <T>(status: number, machine: SandboxMachine, verb: string, body: object): Promise<T> => {
    const path = `/v1/machines/${namespace.name}/${machine.name}/${verb}`;
    const answer = await platform.api.call<T>('POST', path, body);
    if (answer.status !== status)
      throw new Error(`POST ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const ask = async (machine: SandboxMachine, verb: string, body: object = {}): Promise<Operation> =>
    await post(202, machine, verb, body);
  return {
    namespace,
    machine: async (name) => await platform.machine(name, namespace.name, 'direct', ['http', 'grpc', 'tcp']),
    onboard: async (machine, group, more = {}) => {
      const request = onboardRequest(platform.env, machine, group);
      const { id } = await platform.api.onboard({ ...request, ...more });
      const { phase, message } = await endOf(platform.api, id);
      if (phase !== 'Succeeded') throw new Error(`${machine.name} was not onboarded: ${message ?? phase}`);
    },
    ask,
    plan: async (machine, verb, body) => await post(200, machine, `${verb}?validateOnly=true`, body),
    run: async (machine, verb, body) => await endOf(platform.api, (await ask(machine, verb, body)).id),
    remove: async () => {
      await command('kubectl', 'delete', 'hostpolicy', namespace.name, '--ignore-not-found');
      await namespace.remove();
    },
  };
}

async function apply(objects: readonly object[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'meshlift-lab-'));
  const file = join(folder, 'objects.json');
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  await command('kubectl', 'apply', '-f', file);
  rmSync(folder, { recursive: true });
}

/** 200 requests a second from an injected pod: HTTP and gRPC, kept and fresh connections, one in fifty of 3 s. No retries by the client. */
export async function meshLoad(
  namespace: string,
  service: string,
): Promise<{ readonly stop: () => Promise<LoadReport[]> } & { readonly sent: () => Promise<number> }> {
  const frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  const host = `${service}.${namespace}.svc.cluster.local`;
  const loads: readonly RunningLoad[] = await Promise.all([
    startLoad(frontend, [`http://${host}/`], 150),
    startLoad(frontend, [`grpc://${host}:9090`], 50),
  ]);
  return {
    sent: async () => (await Promise.all(loads.map((load) => load.report()))).reduce((sum, { sent }) => sum + sent, 0),
    stop: async () => await Promise.all(loads.map((load) => load.stop())),
  };
}

export const failedOf = (reports: readonly LoadReport[]): number =>
  reports.reduce((sum, { failed }) => sum + failed, 0);
export const reasonsOf = (reports: readonly LoadReport[]): object[] => reports.map(({ reasons }) => reasons);

/** Counts, for as long as it runs, the fewest endpoints of each Service that istiods gave out at any one look. */
export function watchEndpoints(
  kubeconfig: string,
  lab: DrainLab,
  machine: SandboxMachine,
): { readonly stop: () => Promise<{ least: Map<string, number>; looks: number }> } {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const mesh = new IstioMesh(config, { istioNamespace: 'istio-system' });
  const least = new Map<string, number>();
  let looks = 0;
  const stopped = new AbortController();
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      const services = await mesh.readServices({ namespace: lab.namespace.name, machine: machine.name });
      looks += 1;
      for (const { host, endpoints } of services) {
        const offered = endpoints.filter(({ isOffered }) => isOffered).length;
        least.set(host, Math.min(least.get(host) ?? Infinity, offered));
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  })();
  return {
    stop: async () => {
      stopped.abort();
      await watching;
      return { least, looks };
    },
  };
}
