/** The sandbox as its users see it: its verbs, and what `sandbox env` prints. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { OnboardMachine } from '../api/schemas/machine.ts';

const execute = promisify(execFile);
const root = join(import.meta.dirname, '..');

/** What a machine serves; its Services name the ports so. */
const ports = { http: 8080, grpc: 9090, tcp: 7070, greeting: 2525 } as const;
export type App = keyof typeof ports;
const portNames = { http: 'http', grpc: 'grpc', tcp: 'tcp', greeting: 'tcp-greeting' } as const;
type Network = 'direct' | 'gateway' | 'inner';

export interface SandboxMachine {
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
  readonly apps: readonly App[];
  /** The host without which its SSH answers nobody; `hostKey` as ssh-keyscan prints it, without the address. */
  readonly jump?: { readonly address: string; readonly user: string; readonly hostKey: string };
}

export interface SandboxEnv {
  readonly kubeconfig: string;
  readonly meshliftApi: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly temporalUi: string;
  readonly sshKey: string;
  readonly knownHosts: string;
  readonly packages: string;
  /** Of the ingress gateway: it serves whatever VirtualServices bind to Gateway `istio-system/ingress`. */
  readonly ingress: string;
  /** The API server's: one JSON event a line; full files lie beside it, the time in their names. */
  readonly auditLog: string;
  readonly machines: readonly SandboxMachine[];
  /** The exports as they stand, for a child process. */
  readonly exports: Readonly<Record<string, string>>;
}

/** What `sandbox env` said last: it stays true until this process changes something by a verb. */
let known: Promise<SandboxEnv> | undefined;

/** Runs a verb of the sandbox as a user would. */
export async function sandbox(...verb: string[]): Promise<string> {
  try {
    const { stdout } = await execute(process.execPath, [join(root, 'sandbox', 'main.ts'), ...verb], { cwd: root });
    return stdout;
  } finally {
    if (verb[0] !== 'env') known = undefined;
  }
}

/** The sandbox as `sandbox env` tells it; fails with the sandbox's own words when it is not up. */
export function sandboxEnv(): Promise<SandboxEnv> {
  known ??= readEnv().catch((error: unknown) => {
    known = undefined;
    throw error;
  });
  return known;
}

/** Lets a shell evaluate what `sandbox env` prints, as a user does. */
async function readEnv(): Promise<SandboxEnv> {
  const lines = await sandbox('env');
  const names = new Set([...lines.matchAll(/^export ([A-Z_]+)=/gm)].map(([, name]) => name));
  const { stdout } = await execute('sh', ['-c', `${lines}\nenv -0`]);
  const variables = stdout.split('\0').map((entry): [string, string] => {
    const [name = '', ...value] = entry.split('=');
    return [name, value.join('=')];
  });
  const exports = Object.fromEntries(variables.filter(([name]) => names.has(name)));
  const value = (name: string): string => {
    const found = exports[name];
    if (found === undefined) throw new Error(`sandbox env prints no ${name}`);
    return found;
  };
  return {
    kubeconfig: value('KUBECONFIG'),
    meshliftApi: value('MESHLIFT_API'),
    temporalAddress: value('TEMPORAL_ADDRESS'),
    temporalNamespace: value('TEMPORAL_NAMESPACE'),
    temporalUi: value('MESHLIFT_TEMPORAL_UI'),
    sshKey: value('SANDBOX_SSH_KEY'),
    knownHosts: value('SANDBOX_KNOWN_HOSTS'),
    packages: value('MESHLIFT_PACKAGES'),
    ingress: value('SANDBOX_INGRESS'),
    auditLog: value('SANDBOX_AUDIT_LOG'),
    machines: JSON.parse(value('SANDBOX_MACHINES')) as SandboxMachine[],
    exports,
  };
}

/** The machine of this name: the one that is there, or a new one. */
export async function addMachine(
  name: string,
  namespace: string,
  network: Network = 'direct',
  apps: readonly App[] = ['http'],
): Promise<SandboxMachine> {
  const find = async (): Promise<SandboxMachine | undefined> =>
    (await sandboxEnv()).machines.find((candidate) => candidate.name === name);
  const there = await find();
  if (there !== undefined) return there;
  await sandbox('machine', 'add', name, '--namespace', namespace, '--network', network, '--apps', apps.join(','));
  const added = await find();
  if (added === undefined) throw new Error(`sandbox machine add ${name} succeeded, yet env does not list it`);
  return added;
}

/** Stops the machine as a pulled plug does; its disk, address and host key stay. */
export const powerOff = async (machine: SandboxMachine): Promise<void> => {
  await sandbox('machine', 'power-off', machine.name);
};

/** Boots it again; resolves when SSH answers, and its other units may still start. */
export const powerOn = async (machine: SandboxMachine): Promise<void> => {
  await sandbox('machine', 'power-on', machine.name);
};

/** The request that a user of the sandbox would send for this machine, with the ports of what it serves. */
export function onboardRequest(
  env: SandboxEnv,
  machine: SandboxMachine,
  workloadGroup: string,
  network: Network = 'direct',
): OnboardMachine {
  const knownHosts = readFileSync(env.knownHosts, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith(`${machine.address} `))
    .join('\n');
  return {
    name: machine.name,
    namespace: machine.namespace,
    workloadGroup,
    workload: {
      labels: { app: workloadGroup },
      ports: Object.fromEntries(machine.apps.map((app) => [portNames[app], ports[app]])),
      serviceAccount: workloadGroup,
      ...(network === 'gateway' ? { network: 'vm-net' } : {}),
      probe: { httpGet: { port: 8080, path: '/healthz' }, periodSeconds: 2 },
    },
    host: {
      address: machine.address,
      user: 'ops',
      credentialsName,
      hostKey: { knownHosts },
      ...(machine.jump === undefined ? {} : { jump: jumpRequest(machine.jump) }),
    },
  };
}

const credentialsName = 'sandbox-ssh';

const jumpRequest = ({ address, user, hostKey }: NonNullable<SandboxMachine['jump']>) => ({
  ...{ address, user, credentialsName },
  hostKey: { knownHosts: `${address} ${hostKey}` },
});

/** IP of the first pod with this label. */
export async function podAddress(namespace: string, selector: string): Promise<string> {
  const { exports } = await sandboxEnv();
  const { stdout } = await execute(
    'kubectl',
    ['-n', namespace, 'get', 'pod', '-l', selector, '-o', 'jsonpath={.items[0].status.podIP}'],
    { env: { ...process.env, ...exports } },
  );
  if (stdout === '') throw new Error(`No pod with ${selector} in ${namespace} has an address; is the sandbox up?`);
  return stdout;
}

async function sandboxWithProgress(verb: 'up' | 'down' | 'status'): Promise<number> {
  const child = spawn(process.execPath, [join(root, 'sandbox', 'main.ts'), verb], {
    cwd: root,
    stdio: ['ignore', verb === 'status' ? 'ignore' : 2, 2],
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  known = undefined;
  return status ?? 1;
}

/** Whether the platform is up: somebody else then takes it down. */
export const isUp = async (): Promise<boolean> => (await sandboxWithProgress('status')) === 0;

/** Brings the platform up, progress on standard error. */
export async function bringUp(): Promise<void> {
  if ((await sandboxWithProgress('up')) !== 0)
    throw new Error('The sandbox did not come up; its last lines above say why');
}

/** Takes everything down; only the cache stays. */
export async function takeDown(): Promise<void> {
  if ((await sandboxWithProgress('down')) !== 0) {
    throw new Error('The sandbox did not go down; its last lines above say what is left');
  }
}
