/**
 * Connections to a port of pods through the API server's port-forward, kept for the requests that follow: each new one is a TLS and a
 * WebSocket handshake, and work for the API server, the kubelet and the container runtime.
 */
import { Agent, type ClientRequest, type ClientRequestArgs } from 'node:http';
import { Duplex, PassThrough } from 'node:stream';

import type { PortForward } from '@kubernetes/client-node';

const connectTimeoutMs = 5_000;
/** Whoever waits looks each second; a process that is done is not kept for long. */
const idleMs = 3_000;

/** The port-forward's WebSocket; the client types it as one that may be a function. */
interface Tunnel {
  close(): void;
  onclose: (() => void) | null;
}

/** A request's `host` is the name of a pod. */
export class ForwardAgent extends Agent {
  readonly #forward: PortForward;
  readonly #namespace: string;
  readonly #podPort: number;
  readonly #idle = new WeakMap<Duplex, NodeJS.Timeout>();

  constructor(forward: PortForward, namespace: string, podPort: number) {
    super({ keepAlive: true });
    this.#forward = forward;
    this.#namespace = namespace;
    this.#podPort = podPort;
  }

  override createConnection(
    { host }: ClientRequestArgs,
    done: (error: Error | null, connection: Duplex) => void,
  ): undefined {
    this.#connect(host ?? '').then(
      (connection) => {
        done(null, connection);
      },
      (error: unknown) => {
        // It is called with the error alone; the type knows no such call.
        done(error instanceof Error ? error : new Error('the port-forward was refused'), undefined as never);
      },
    );
  }

  /** Node's own asks a socket for things that this connection is without. */
  override keepSocketAlive(connection: Duplex): boolean {
    this.#idle.set(
      connection,
      setTimeout(() => connection.destroy(), idleMs),
    );
    return true;
  }

  override reuseSocket(connection: Duplex, request: ClientRequest): void {
    clearTimeout(this.#idle.get(connection));
    super.reuseSocket(connection, request);
  }

  async #connect(pod: string): Promise<Duplex> {
    const [toPod, fromPod, complaints] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const forwarding = this.#forward.portForward(
      this.#namespace,
      pod,
      [this.#podPort],
      fromPod,
      complaints,
      toPod,
    ) as Promise<Tunnel>;
    const tunnel = await within(connectTimeoutMs, forwarding);
    // Node's agent takes what it keeps for a socket, and refers to it again.
    const connection = Object.assign(Duplex.from({ readable: fromPod, writable: toPod }), { ref: () => undefined });
    complaints.on('data', (data: Buffer) => connection.destroy(new Error(data.toString().trim())));
    tunnel.onclose = () => connection.destroy(new Error('the port-forward was closed'));
    connection.once('close', () => {
      tunnel.close();
    });
    return connection;
  }
}

/** The client's own connection attempt has no time limit; one that succeeds too late is closed then. */
async function within(timeoutMs: number, work: Promise<Tunnel>): Promise<Tunnel> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      void work.then(
        (tunnel) => {
          tunnel.close();
        },
        () => undefined,
      );
      reject(new Error(`no answer within ${timeoutMs / 1000} s`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
