/** What `meshlift check` is told: a machine, the place it is to join, and how to log in. */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Errors } from 'typebox/value';

import type { SshCredential } from '../activities/ports/host-port.ts';
import { type Host, OnboardMachine } from '../api/schemas/machine.ts';

export interface CheckOptions {
  /** The name is the machine's own hostname where none is given; it is then empty here. */
  readonly request: OnboardMachine;
  readonly credential: SshCredential;
  readonly isJson: boolean;
  readonly istioNamespace: string;
  /** Where packages are; absent: they are not looked for. */
  readonly packages?: string;
}

export const usage = `usage: meshlift check --host USER@ADDRESS[:PORT] --namespace NAMESPACE --group WORKLOADGROUP [options]

Says whether the machine can join, and what would be written; changes nothing. Needs a kubeconfig and a way in by SSH.

  --name NAME              the machine's name; default: what hostname -s says there
  --identity FILE          private key of the login; default: the SSH agent, else a key in ~/.ssh
  --known-hosts FILE       where the host key is known from; default: ~/.ssh/known_hosts
  --jump USER@ADDRESS[:PORT]  a host on the way, with the same key and known hosts
  --revision REVISION      revision or tag of Istio; default: that of the namespace or the mesh
  --label KEY=VALUE        label of a WorkloadGroup that is yet to be (repeatable)
  --port NAME=NUMBER       port of a WorkloadGroup that is yet to be (repeatable)
  --packages WHERE         as MESHLIFT_PACKAGES; without both, packages are not looked for
  --json                   the plan as the API answers it

Exit status: 0 where nothing critical was found, 1 where something was, 2 for a wrong call.
`;

type Environment = Readonly<Record<string, string | undefined>>;

/** Options, or everything that is wrong with the call. */
export function readOptions(
  args: readonly string[],
  env: Environment,
): { readonly options: CheckOptions } | { readonly faults: readonly string[] } {
  const { values, fault } = parse(args);
  if (!values) return { faults: [fault] };
  const missing = (['host', 'namespace', 'group'] as const).filter((name) => values[name] === undefined);
  if (missing.length > 0) return { faults: missing.map((name) => `--${name} is missing`) };
  const sshFolder = join(env['HOME'] ?? homedir(), '.ssh');
  const knownHosts = readIfThere(values['known-hosts'] ?? join(sshFolder, 'known_hosts'));
  const endpoint = (text: string) => hostOf(text, knownHosts ?? '');
  const labels = pairs(values.label ?? []);
  const ports = pairs(values.port ?? []).map(([name, port]): [string, number] => [name, Number(port)]);
  const request: OnboardMachine = {
    name: values.name ?? 'not-known-yet',
    namespace: values.namespace ?? '',
    workloadGroup: values.group ?? '',
    host: {
      ...endpoint(values.host ?? ''),
      ...(values.jump === undefined ? {} : { jump: endpoint(values.jump) }),
    },
    ...(labels.length + ports.length === 0
      ? {}
      : {
          workload: {
            ...(labels.length === 0 ? {} : { labels: Object.fromEntries(labels) }),
            ...(ports.length === 0 ? {} : { ports: Object.fromEntries(ports) }),
          },
        }),
    ...(values.revision === undefined ? {} : { revision: values.revision }),
  };
  const credential = credentialOf(values.identity, sshFolder, env);
  const faults = [
    ...faultsOf(request),
    ...(knownHosts === undefined && values['known-hosts'] !== undefined
      ? [`--known-hosts ${values['known-hosts']} does not exist`]
      : []),
    ...(typeof credential === 'string' ? [credential] : []),
  ];
  if (faults.length > 0 || typeof credential === 'string') return { faults };
  const packages = values.packages ?? env['MESHLIFT_PACKAGES'];
  return {
    options: {
      request: { ...request, name: values.name ?? '' },
      credential,
      isJson: values.json === true,
      istioNamespace: env['MESHLIFT_ISTIO_NAMESPACE'] ?? 'istio-system',
      ...(packages === undefined ? {} : { packages }),
    },
  };
}

const flags = {
  host: { type: 'string' },
  namespace: { type: 'string' },
  group: { type: 'string' },
  name: { type: 'string' },
  identity: { type: 'string' },
  'known-hosts': { type: 'string' },
  jump: { type: 'string' },
  revision: { type: 'string' },
  label: { type: 'string', multiple: true },
  port: { type: 'string', multiple: true },
  packages: { type: 'string' },
  json: { type: 'boolean' },
} as const;

function parse(args: readonly string[]) {
  try {
    return { values: parseArgs({ args: [...args], options: flags, strict: true }).values, fault: '' };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}

/** `user@address:port`; an IPv6 address with a port stands in brackets. */
function hostOf(text: string, knownHosts: string): Host {
  const [, user = '', bracketed, plain, port] =
    /^([^@]*)@(?:\[([^\]]*)\]|([^:]*|.*:.*:.*))(?::(\d+))?$/.exec(text) ?? [];
  return {
    user,
    address: bracketed ?? plain ?? '',
    ...(port === undefined ? {} : { port: Number(port) }),
    credentialsName: 'login',
    hostKey: { knownHosts },
  };
}

const pairs = (texts: readonly string[]): [string, string][] =>
  texts.map((text) => {
    const cut = text.indexOf('=');
    return cut === -1 ? [text, ''] : [text.slice(0, cut), text.slice(cut + 1)];
  });

/** In the words of the options; what known_hosts holds is judged with the host's key. */
function faultsOf(request: OnboardMachine): string[] {
  const faults = [...Errors(OnboardMachine, request)].filter(({ instancePath }) => !instancePath.includes('hostKey'));
  return faults.map(({ instancePath, message }) => {
    const option = instancePath.split('/')[1] ?? '';
    const isJump = instancePath.startsWith('/host/jump');
    const name = isJump ? 'jump' : (optionOf[option] ?? option);
    return `--${name}: ${instancePath.slice(1).replaceAll('/', '.')} ${message}`;
  });
}

const optionOf: Readonly<Record<string, string>> = { workloadGroup: 'group', workload: 'label or --port' };

/** A key that is named, the agent, or the first key of ~/.ssh that ssh itself would try; else what is wrong. */
function credentialOf(identity: string | undefined, sshFolder: string, env: Environment): SshCredential | string {
  if (identity !== undefined) {
    const privateKey = readIfThere(identity);
    return privateKey === undefined ? `--identity ${identity} does not exist` : { privateKey, source: identity };
  }
  const agent = env['SSH_AUTH_SOCK'];
  if (agent !== undefined && agent !== '') return { agent, source: 'the SSH agent' };
  const found = ['id_ed25519', 'id_ecdsa', 'id_rsa']
    .map((name) => join(sshFolder, name))
    .find((path) => existsSync(path));
  return found === undefined
    ? `no SSH agent runs and ${sshFolder} holds no key; name one with --identity`
    : { privateKey: readFileSync(found, 'utf8'), source: found };
}

const readIfThere = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);
