/** What the API process is told by its environment, checked once at start with every fault reported together. */
import { isIPv4 } from 'node:net';

import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { ConnectionOptions } from '@temporalio/client';

export interface ApiConfig {
  readonly listen: { readonly host: string; readonly port: number };
  readonly temporal: {
    readonly connection: Pick<ConnectionOptions, 'address' | 'tls' | 'apiKey' | 'metadata'>;
    readonly namespace: string;
    /** Base address of the Temporal UI, for `workflowUrl`; absent: operations carry no link. */
    readonly uiUrl?: string;
  };
}

/** Everything that is wrong with the environment, one line per fault. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `The environment of 'meshlift api' has ${faults.length} fault(s):\n${faults.map((fault) => `- ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_LISTEN = '127.0.0.1:8080';
const DEFAULT_TEMPORAL_NAMESPACE = 'meshlift';

/**
 * Reads `MESHLIFT_LISTEN`, `MESHLIFT_AUTH`, `MESHLIFT_TEMPORAL_UI` and Temporal's own variables and profile file.
 * Throws `ConfigError`.
 */
export function readApiConfig(environment: Environment): ApiConfig {
  const faults: string[] = [];
  const listen = parseListen(environment['MESHLIFT_LISTEN'] ?? DEFAULT_LISTEN, faults);
  const uiUrl = parseUiUrl(environment['MESHLIFT_TEMPORAL_UI'], faults);
  checkAuth(environment['MESHLIFT_AUTH'], faults);
  const temporal = readTemporal(environment, faults);
  if (listen === undefined || temporal === undefined || faults.length > 0) throw new ConfigError(faults);
  return Object.freeze({ listen, temporal: { ...temporal, ...(uiUrl === undefined ? {} : { uiUrl }) } });
}

function parseListen(text: string, faults: string[]): ApiConfig['listen'] | undefined {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:]*)):(?<port>\d+)$/.exec(text);
  const host = match?.groups?.['six'] ?? match?.groups?.['host'];
  const port = Number(match?.groups?.['port']);
  if (host === undefined || host === '' || port > 65_535) {
    faults.push(`MESHLIFT_LISTEN='${text}' is not host:port; write for example ${DEFAULT_LISTEN}`);
    return undefined;
  }
  if (!isLoopback(host)) {
    faults.push(
      `MESHLIFT_LISTEN='${text}' is not a loopback address. The API has no authentication yet, so it listens on loopback only; ` +
        `use ${DEFAULT_LISTEN} and reach it from elsewhere through ssh -L`,
    );
    return undefined;
  }
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function checkAuth(value: string | undefined, faults: string[]): void {
  if (value === undefined || value === 'off') return;
  faults.push(`MESHLIFT_AUTH='${value}' is not known; only 'off' is there, which needs a loopback MESHLIFT_LISTEN`);
}

function parseUiUrl(value: string | undefined, faults: string[]): string | undefined {
  if (value === undefined || value === '') return undefined;
  const url = URL.parse(value);
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return value.replace(/\/+$/, '');
  faults.push(`MESHLIFT_TEMPORAL_UI='${value}' is not an http(s) address; write for example http://127.0.0.1:8233`);
  return undefined;
}

function readTemporal(environment: Environment, faults: string[]): ApiConfig['temporal'] | undefined {
  try {
    const set = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const { connectionOptions, namespace } = loadClientConnectConfig({ overrideEnvVars: Object.fromEntries(set) });
    const { address, tls, apiKey, metadata } = connectionOptions;
    return {
      namespace: namespace ?? DEFAULT_TEMPORAL_NAMESPACE,
      connection: {
        ...(address === undefined ? {} : { address }),
        ...(tls === undefined ? {} : { tls }),
        ...(typeof apiKey === 'string' ? { apiKey } : {}),
        ...(metadata === undefined ? {} : { metadata: stringsOf(metadata) }),
      },
    };
  } catch (error) {
    faults.push(
      `Temporal's settings (TEMPORAL_* or its profile file): ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

/** gRPC metadata of a profile is text; the type also allows bytes. */
function stringsOf(metadata: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, String(value)]));
}
