/** What the worker process is told by its environment: one schema, parsed once, every fault reported together. */
import { homedir } from 'node:os';
import { join } from 'node:path';

import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { NativeConnectionOptions } from '@temporalio/worker';
import Type from 'typebox';
import { Check } from 'typebox/value';

/** Everything that is wrong with the environment, one line per fault. */
class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    const lines = faults.map((fault) => `- ${fault}`).join('\n');
    super(`The environment of 'meshlift worker' has ${faults.length} fault(s):\n${lines}`);
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

const namespace = Type.String({
  pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$',
  description: 'the name of a Kubernetes namespace',
});
const atLeastOne = Type.String({ pattern: '^[1-9][0-9]{0,4}$', description: 'a whole number from 1' });
const cidrs = Type.String({
  pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}(,[0-9a-fA-F.:]+/[0-9]{1,3})*$',
  description: 'networks separated by commas, e.g. 192.0.2.0/24,2001:db8::/32',
});
const zeroOrMore = Type.String({ pattern: '^[0-9]{1,5}$', description: 'a whole number from 0' });

const WorkerEnvironment = Type.Object({
  MESHLIFT_ISTIO_NAMESPACE: Type.Optional(namespace),
  MESHLIFT_NAMESPACE: Type.Optional(namespace),
  MESHLIFT_PACKAGES: Type.String({
    pattern: '^(/|(?=.*\\{version\\})https?://[^@]+$)',
    description:
      'an absolute directory, or an http(s) URL with {version}, {arch} and {format} and without user, password or @, where istio-sidecar packages are',
  }),
  MESHLIFT_PACKAGE_CACHE: Type.Optional(Type.String({ pattern: '^/', description: 'an absolute directory' })),
  MESHLIFT_HOST_CIDRS: Type.Optional(cidrs),
  MESHLIFT_PROMETHEUS: Type.Optional(
    Type.String({
      pattern: '^https?://[^@]+$',
      description: 'an http(s) URL without user, password or @, of a Prometheus',
    }),
  ),
  MESHLIFT_HOST_CONCURRENCY: Type.Optional(atLeastOne),
  MESHLIFT_CACHED_WORKFLOWS: Type.Optional(zeroOrMore),
});

export interface WorkerConfig {
  readonly temporal: { readonly connection: NativeConnectionOptions; readonly namespace: string };
  /** Where istiod runs. */
  readonly istioNamespace: string;
  /** Where the Secrets with the machines' logins stand. */
  readonly meshliftNamespace: string;
  readonly packages: { readonly source: string; readonly cacheDirectory: string };
  /** Where the bundled workflows are kept between starts. */
  readonly workflowCache: string;
  /** Networks outside of which no host is connected to, whatever the policies say; absent: no such limit. */
  readonly hostCidrs?: readonly string[];
  /** Where queries of an analysis are asked; absent: such an analysis is refused. */
  readonly prometheus?: string;
  /** SSH connections at once. */
  readonly hostConcurrency: number;
  /** Workflows kept in memory; 0 replays each from its history at every task. */
  readonly cachedWorkflows: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_TEMPORAL_NAMESPACE = 'meshlift';

/**
 * Reads `MESHLIFT_PACKAGES` (required), `MESHLIFT_ISTIO_NAMESPACE` (`istio-system`), `MESHLIFT_NAMESPACE` (`meshlift-system`),
 * `MESHLIFT_PACKAGE_CACHE`, `MESHLIFT_HOST_CIDRS` (no limit), `MESHLIFT_PROMETHEUS` (none), `MESHLIFT_HOST_CONCURRENCY` (50), `MESHLIFT_CACHED_WORKFLOWS` (500), and Temporal's own variables
 * and profile file. Throws `ConfigError`.
 */
export function readWorkerConfig(environment: Environment): WorkerConfig {
  const faults = faultsOf(environment);
  const temporal = readTemporal(environment, faults);
  if (!temporal || faults.length > 0) throw new ConfigError(faults);
  const read = (name: keyof typeof WorkerEnvironment.properties) => environment[name];
  const hostCidrs = read('MESHLIFT_HOST_CIDRS');
  const prometheus = read('MESHLIFT_PROMETHEUS');
  return Object.freeze({
    temporal,
    istioNamespace: read('MESHLIFT_ISTIO_NAMESPACE') ?? 'istio-system',
    meshliftNamespace: read('MESHLIFT_NAMESPACE') ?? 'meshlift-system',
    packages: {
      source: read('MESHLIFT_PACKAGES') ?? '',
      cacheDirectory: read('MESHLIFT_PACKAGE_CACHE') ?? join(homedir(), '.cache', 'meshlift', 'packages'),
    },
    workflowCache: join(environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'meshlift', 'workflows'),
    ...(hostCidrs === undefined ? {} : { hostCidrs: hostCidrs.split(',') }),
    ...(prometheus === undefined ? {} : { prometheus }),
    hostConcurrency: Number(read('MESHLIFT_HOST_CONCURRENCY') ?? 50),
    cachedWorkflows: Number(read('MESHLIFT_CACHED_WORKFLOWS') ?? 500),
  });
}

function faultsOf(environment: Environment): string[] {
  const required: readonly string[] = WorkerEnvironment.required;
  return Object.entries(WorkerEnvironment.properties).flatMap(([name, schema]) => {
    const value = environment[name];
    const { description = 'as the documentation says' } = schema as { readonly description?: string };
    if (value === undefined) return required.includes(name) ? [`${name} is not set; set it to ${description}`] : [];
    const isValid: boolean = Check(schema, value);
    return isValid ? [] : [`${name}='${withoutUser(value)}' is not ${description}`];
  });
}

/** A user and password that were given by mistake do not go to the log. */
function withoutUser(value: string): string {
  return value.replace(/\/\/.*@/, '//...@');
}

function readTemporal(environment: Environment, faults: string[]): WorkerConfig['temporal'] | undefined {
  try {
    const set = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(set) });
    return { connection: connectionOptions, namespace: namespace ?? DEFAULT_TEMPORAL_NAMESPACE };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    faults.push(`Temporal's settings (TEMPORAL_* or its profile file): ${why}`);
    return undefined;
  }
}
