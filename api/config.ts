/** What the API process is told by its environment, checked once at start with every fault reported together. */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { createSecureContext } from 'node:tls';

import { loadClientConnectConfig } from '@temporalio/envconfig';
import type { ConnectionOptions } from '@temporalio/client';

export interface ApiConfig {
  readonly listen: { readonly host: string; readonly port: number; readonly isLoopback: boolean };
  /** Whether the cluster is asked who may do what. */
  readonly auth: 'cluster' | 'off';
  /** Certificate and key in PEM; absent: plain HTTP, on loopback alone. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly limits: {
    /** Of one caller. */
    readonly requestsPerMinute: number;
    /** Open at once, streams included; others are closed at once. */
    readonly connections: number;
  };
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
const DEFAULT_REQUESTS_PER_MINUTE = 12_000;
const DEFAULT_CONNECTIONS = 1_000;

/**
 * Reads `MESHLIFT_LISTEN`, `MESHLIFT_AUTH` (`cluster`), `MESHLIFT_TLS_CERT` and `MESHLIFT_TLS_KEY`, `MESHLIFT_RATE_LIMIT` (12000),
 * `MESHLIFT_CONNECTIONS` (1000), `MESHLIFT_TEMPORAL_UI` and Temporal's own variables and profile file.
 * Throws `ConfigError`.
 */
export function readApiConfig(environment: Environment): ApiConfig {
  const faults: string[] = [];
  const listen = parseListen(environment['MESHLIFT_LISTEN'] ?? DEFAULT_LISTEN, faults);
  const uiUrl = parseUiUrl(environment['MESHLIFT_TEMPORAL_UI'], faults);
  const auth = parseAuth(environment['MESHLIFT_AUTH'] ?? 'cluster', faults);
  const tls = readTls(environment['MESHLIFT_TLS_CERT'], environment['MESHLIFT_TLS_KEY'], faults);
  const limits = {
    requestsPerMinute: parseLimit(environment, 'MESHLIFT_RATE_LIMIT', DEFAULT_REQUESTS_PER_MINUTE, faults),
    connections: parseLimit(environment, 'MESHLIFT_CONNECTIONS', DEFAULT_CONNECTIONS, faults),
  };
  if (listen?.isLoopback === false) {
    checkDoors(environment, auth, faults);
  }
  const temporal = readTemporal(environment, faults);
  if (listen === undefined || temporal === undefined || faults.length > 0) throw new ConfigError(faults);
  return Object.freeze({
    listen,
    auth,
    ...(tls === undefined ? {} : { tls }),
    limits,
    temporal: { ...temporal, ...(uiUrl === undefined ? {} : { uiUrl }) },
  });
}

function parseListen(text: string, faults: string[]): ApiConfig['listen'] | undefined {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:]*)):(?<port>\d+)$/.exec(text);
  const host = match?.groups?.['six'] ?? match?.groups?.['host'];
  const port = Number(match?.groups?.['port']);
  if (host === undefined || host === '' || port > 65_535) {
    faults.push(`MESHLIFT_LISTEN='${text}' is not host:port; write for example ${DEFAULT_LISTEN}`);
    return undefined;
  }
  return { host, port, isLoopback: isLoopback(host) };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function parseAuth(value: string, faults: string[]): ApiConfig['auth'] {
  if (value === 'cluster' || value === 'off') return value;
  faults.push(
    `MESHLIFT_AUTH='${value}' is not known; set it to cluster, or to off where nobody else reaches the loopback port`,
  );
  return 'cluster';
}

/** Beyond loopback a token must not be readable on the way, and nobody comes in without one. */
function checkDoors(environment: Environment, auth: ApiConfig['auth'], faults: string[]): void {
  const where = `MESHLIFT_LISTEN='${environment['MESHLIFT_LISTEN'] ?? ''}' is not a loopback address`;
  if (auth === 'off') faults.push(`${where}, so MESHLIFT_AUTH may not be off; leave it out, or use ${DEFAULT_LISTEN}`);
  if (environment['MESHLIFT_TLS_CERT'] === undefined && environment['MESHLIFT_TLS_KEY'] === undefined) {
    faults.push(`${where}, so MESHLIFT_TLS_CERT and MESHLIFT_TLS_KEY must name a certificate and its key`);
  }
}

function readTls(certFile: string | undefined, keyFile: string | undefined, faults: string[]): ApiConfig['tls'] {
  if (certFile === undefined && keyFile === undefined) return undefined;
  const cert = readPem('MESHLIFT_TLS_CERT', certFile, faults);
  const key = readPem('MESHLIFT_TLS_KEY', keyFile, faults);
  if (cert === undefined || key === undefined) return undefined;
  try {
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (error) {
    faults.push(
      `MESHLIFT_TLS_CERT='${certFile ?? ''}' and MESHLIFT_TLS_KEY='${keyFile ?? ''}' are no certificate and key that belong together: ${reasonOf(error)}`,
    );
    return undefined;
  }
}

function readPem(name: string, file: string | undefined, faults: string[]): string | undefined {
  try {
    if (file !== undefined) return readFileSync(file, 'utf8');
    faults.push(`${name} is not set; certificate and key go together`);
  } catch (error) {
    faults.push(`${name}='${file ?? ''}' cannot be read: ${reasonOf(error)}`);
  }
  return undefined;
}

function parseLimit(environment: Environment, name: string, fallback: number, faults: string[]): number {
  const value = environment[name];
  if (value === undefined) return fallback;
  if (!/^[1-9][0-9]{0,8}$/.test(value)) faults.push(`${name}='${value}' is not a whole number from 1`);
  return Number(value);
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

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
