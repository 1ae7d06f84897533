/** One SSH connection: the host key is verified before anything is sent, and every failure is told apart. */
import { connect as connectSocket, type Socket } from 'node:net';
import type { Readable } from 'node:stream';

import ssh2, { type Client, type ClientChannel, type ConnectConfig, type ServerHostKeyAlgorithm } from 'ssh2';

import { failure } from '../failures.ts';
import type { LocatedHost, SshCredential } from '../ports/host-port.ts';
import type { ExecResult } from './host-failures.ts';
import { fingerprintOf, hostKeyCheck, type HostKeyCheck } from './host-key.ts';
import { runChannel } from './ssh-channel.ts';

/** Where to connect to: the host itself, or the host that stands before it. */
export type Endpoint = Omit<LocatedHost, 'jump'>;
export type ReadCredential = (credentialsName: string) => Promise<SshCredential>;

export interface SshConnection {
  /** Fingerprint of the host key that was verified. */
  readonly fingerprint: string;
  /** Runs one command; `input` is its standard input. Rejects with `HostUnreachable` where the connection breaks first. */
  exec(command: string, input?: Readable): Promise<ExecResult>;
  /** A TCP connection that leaves from the host; rejects with `HostUnreachable` where the host cannot make it. */
  dial(address: string, port: number): Promise<ClientChannel>;
  close(): void;
}

/** TCP, key exchange and authentication together. */
const connectTimeoutMs = 20_000;
/** A peer that is silent for four of these is gone. */
const keepaliveMs = 10_000;

export const describeEndpoint = (endpoint: Pick<Endpoint, 'user' | 'address' | 'port'>): string =>
  `${endpoint.user}@${endpoint.address}:${endpoint.port ?? 22}`;

/** Opens a connection, over the jump host where one is named. An aborted signal closes it at once and rejects with its reason. */
export async function openConnection(
  host: LocatedHost,
  readCredential: ReadCredential,
  signal: AbortSignal,
): Promise<SshConnection> {
  const { jump, ...endpoint } = host;
  if (jump === undefined)
    return await openVerified(endpoint, readCredential, signal, () => Promise.resolve(openSocket(endpoint)));
  const outer = await openVerified(jump, readCredential, signal, () => Promise.resolve(openSocket(jump)));
  try {
    const inner = await openVerified(endpoint, readCredential, signal, () =>
      outer.dial(endpoint.ip, endpoint.port ?? 22),
    );
    const close = (): void => {
      inner.close();
      outer.close();
    };
    return { ...inner, close };
  } catch (error) {
    outer.close();
    throw error;
  }
}

/** The key a host shows, over the jump host where one is named; the host is left before anything is authenticated. */
export async function readFingerprint(
  host: LocatedHost,
  readCredential: ReadCredential,
  signal: AbortSignal,
): Promise<string> {
  const { jump, ...endpoint } = host;
  const refuse: HostKeyCheck = { accepts: () => false, offers: [undefined], refusal: '' };
  const outer = jump && (await openVerified(jump, readCredential, signal, () => Promise.resolve(openSocket(jump))));
  try {
    const attempt = await tryConnect({
      endpoint,
      signal,
      check: refuse,
      stream: outer ? await outer.dial(endpoint.ip, endpoint.port ?? 22) : openSocket(endpoint),
    });
    if ('refused' in attempt) return attempt.refused;
    throw failure('HostUnreachable', `${describeEndpoint(endpoint)} closed the connection before it showed a host key`);
  } finally {
    outer?.close();
  }
}

function openSocket(endpoint: Endpoint): Socket {
  return connectSocket({
    host: endpoint.ip,
    port: endpoint.port ?? 22,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepaliveMs,
  });
}

async function openVerified(
  endpoint: Endpoint,
  readCredential: ReadCredential,
  signal: AbortSignal,
  open: () => Promise<Socket | ClientChannel>,
): Promise<SshConnection> {
  const credential = await readCredential(endpoint.credentialsName);
  if ('privateKey' in credential && ssh2.utils.parseKey(credential.privateKey) instanceof Error) {
    throw failure(
      'CredentialMissing',
      `${sourceOf(credential, endpoint)} holds no private key that can be read; put an unencrypted OpenSSH key there`,
    );
  }
  const check = hostKeyCheck(endpoint.hostKey, endpoint.address, endpoint.port ?? 22);
  const seen = new Set<string>();
  for (const offer of check.offers) {
    const attempt = await tryConnect({
      endpoint,
      signal,
      check,
      credential,
      stream: await open(),
      ...(offer && { offer }),
    });
    if ('connection' in attempt) return attempt.connection;
    seen.add(attempt.refused);
  }
  throw failure(
    'HostKeyMismatch',
    `Host key of ${describeEndpoint(endpoint)} is ${[...seen].filter(Boolean).join(' and ') || 'of another type'}, but ${check.refusal}; ` +
      'nothing was sent to it. Verify the key at the machine, then correct hostKey',
  );
}

interface Attempt {
  readonly endpoint: Endpoint;
  readonly signal: AbortSignal;
  readonly check: HostKeyCheck;
  readonly stream: Socket | ClientChannel;
  readonly credential?: SshCredential;
  readonly offer?: ServerHostKeyAlgorithm[];
}

/** One try with one set of key types: a connection, or the fingerprint that was refused (empty where no type was in common). */
function tryConnect(attempt: Attempt): Promise<{ connection: SshConnection } | { refused: string }> {
  const { endpoint, signal, check, stream } = attempt;
  signal.throwIfAborted();
  const client = new ssh2.Client();
  let shown = '';
  let isRefused = false;
  const { promise, resolve, reject } = Promise.withResolvers<{ connection: SshConnection } | { refused: string }>();
  const abort = (): void => {
    client.destroy();
    stream.destroy();
    reject(signal.reason as Error);
  };
  signal.addEventListener('abort', abort, { once: true });
  const leave = (): void => {
    signal.removeEventListener('abort', abort);
    client.destroy();
    stream.destroy();
  };
  client.on('ready', () => {
    resolve({ connection: connectionOf({ client, endpoint, fingerprint: shown, signal, close: leave }) });
  });
  client.on('error', (error: Error & { level?: string }) => {
    const hasNoCommonKey = error.message.includes('no matching host key format');
    leave();
    if (isRefused || hasNoCommonKey) resolve({ refused: shown });
    else reject(connectFailure(error, endpoint, attempt.credential));
  });
  client.on('close', () => {
    reject(
      failure(
        'HostUnreachable',
        `${describeEndpoint(endpoint)} closed the connection before the login was done; see sshd's log there`,
      ),
    );
  });
  const config: ConnectConfig = {
    sock: stream,
    username: endpoint.user,
    readyTimeout: connectTimeoutMs,
    keepaliveInterval: keepaliveMs,
    keepaliveCountMax: 3,
    // Set always: without a verifier ssh2 accepts any key.
    hostVerifier: (key: Buffer) => {
      shown = fingerprintOf(key);
      isRefused = !check.accepts(key);
      return !isRefused;
    },
    ...proofOf(attempt.credential),
    ...(attempt.offer && { algorithms: { serverHostKey: attempt.offer } }),
  };
  client.connect(config);
  return promise;
}

function proofOf(credential: SshCredential | undefined): Pick<ConnectConfig, 'privateKey' | 'agent'> {
  if (credential === undefined) return {};
  return 'agent' in credential ? { agent: credential.agent } : { privateKey: credential.privateKey };
}

const sourceOf = (credential: SshCredential | undefined, endpoint: Endpoint): string =>
  credential?.source ?? `Secret ${endpoint.credentialsName}`;

function connectFailure(
  error: Error & { level?: string },
  endpoint: Endpoint,
  credential: SshCredential | undefined,
): Error {
  const where = describeEndpoint(endpoint);
  if (error.level === 'client-authentication') {
    return failure(
      'HostAuthRejected',
      `${where} rejects the key of ${sourceOf(credential, endpoint)}; add its public half to authorized_keys of ${endpoint.user}`,
      error,
    );
  }
  return failure(
    'HostUnreachable',
    `${where} cannot be reached by SSH (${error.message}); check address, port and firewall`,
    error,
  );
}

interface ConnectionParts extends Pick<SshConnection, 'fingerprint' | 'close'> {
  readonly client: Client;
  readonly endpoint: Endpoint;
  /** What closes the connection. */
  readonly signal: AbortSignal;
}

function connectionOf({ client, endpoint, fingerprint, signal, close }: ConnectionParts): SshConnection {
  const lost = (doing: string, cause?: Error): Error =>
    failure(
      'HostUnreachable',
      `The connection to ${describeEndpoint(endpoint)} was lost ${doing}; a retry finds out what came of it`,
      cause,
    );

  return {
    fingerprint,
    close,
    exec: async (command, input) => {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<ExecResult>();
      const failed = (error: Error): void => {
        reject(lost('during a command', error));
      };
      const closed = (): void => {
        reject(signal.aborted ? (signal.reason as Error) : lost('during a command'));
      };
      client.once('error', failed).once('close', closed);
      client.exec(command, (error, channel) => {
        if (error) reject(lost('before a command started', error));
        else runChannel(channel, input, resolve, reject, lost);
      });
      return await promise.finally(() => {
        client.off('error', failed).off('close', closed);
        input?.destroy();
      });
    },
    dial: async (address, port) => {
      const { promise, resolve, reject } = Promise.withResolvers<ClientChannel>();
      client.forwardOut('127.0.0.1', 0, address, port, (error, channel) => {
        if (!error) resolve(channel);
        else
          reject(
            failure(
              'HostUnreachable',
              `${address}:${port} cannot be reached over ${describeEndpoint(endpoint)} (${error.message})`,
              error,
            ),
          );
      });
      return await promise;
    },
  };
}
