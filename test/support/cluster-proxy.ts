/**
 * The Kubernetes API behind a door that a test can close, for one process alone: TLS on both sides with the sandbox's own keys, so a
 * client sees the API server, which sees the client's token. Single answers can be replaced.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';

import { KubeConfig } from '@kubernetes/client-node';

import { certificateFile, keyFile } from '../../sandbox/kubernetes/pki.ts';
import { closable } from './closable.ts';

/** What is answered in place of the API server: a status alone, or its own answer, edited. */
type Fault = { readonly status: number } | { readonly edit: (body: unknown) => unknown };

export interface ClusterProxy {
  /** Writes a kubeconfig for the same user through the proxy; returns `to`. The user has a token. */
  readonly through: (kubeconfig: string, to: string) => string;
  /**
   * For every call from now on: the fault, or undefined for the real answer. Method and path with its query. A port-forward that is open
   * is cut where it would not be given now.
   */
  readonly fail: (choose: (call: string) => Fault | undefined) => void;
  /** Nothing listens any more, and what is open is cut. */
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

/** `kubeconfig` names the cluster. */
export async function clusterProxy(kubeconfig: string): Promise<ClusterProxy> {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const upstream = new URL(config.getCurrentCluster()?.server ?? '');
  const identity = {
    host: upstream.hostname,
    port: Number(upstream.port),
    ca: readFileSync(certificateFile('ca')),
  };
  let choose: (call: string) => Fault | undefined = () => undefined;
  const sockets = new Set<Socket>();
  /** What each was asked for. */
  const forwards = new Map<Socket, string>();
  const server = createServer({
    cert: readFileSync(certificateFile('apiserver')),
    key: readFileSync(keyFile('apiserver')),
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (call: IncomingMessage, answer: ServerResponse) => {
    const fault = choose(`${call.method ?? ''} ${call.url ?? ''}`);
    if (fault && 'status' in fault) {
      refuse(answer, fault.status);
      return;
    }
    // An answer that is edited must come as it is.
    const headers = { ...call.headers, ...(fault ? { 'accept-encoding': 'identity' } : {}) };
    const { method, url: path } = call;
    const forwarded = request({ ...identity, method, path, headers }, (response) => {
      if (fault) void edit(response, answer, fault.edit);
      else response.pipe(answer.writeHead(response.statusCode ?? 502, response.headers));
    });
    forwarded.on('error', () => answer.destroy());
    answer.on('close', () => forwarded.destroy());
    call.pipe(forwarded);
  });
  // A port-forward is a web socket: its bytes pass as they are.
  server.on('upgrade', (call: IncomingMessage, socket: Socket, head: Buffer) => {
    const asked = `${call.method ?? ''} ${call.url ?? ''}`;
    if (choose(asked)) return void socket.destroy();
    forwards.set(socket, asked);
    socket.once('close', () => forwards.delete(socket));
    const through = connect(identity, () => {
      const lines = call.rawHeaders.flatMap((name, at) =>
        at % 2 === 0 ? [`${name}: ${call.rawHeaders[at + 1] ?? ''}`] : [],
      );
      through.write([`${call.method ?? ''} ${call.url ?? ''} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      through.write(head);
      through.pipe(socket).pipe(through);
    });
    for (const [end, other] of [
      [through, socket],
      [socket, through],
    ] as const) {
      end.on('error', () => other.destroy());
      end.on('close', () => other.destroy());
    }
  });
  const { port, up, down } = await closable(server, sockets);
  return {
    through: (of, to) => {
      const text = readFileSync(of, 'utf8').replaceAll(upstream.origin, `https://127.0.0.1:${port}`);
      writeFileSync(to, text, { mode: 0o600 });
      return to;
    },
    fail: (chosen) => {
      choose = chosen;
      for (const [socket, asked] of forwards) if (choose(asked)) socket.destroy();
    },
    up,
    down,
  };
}

function refuse(answer: ServerResponse, code: number): void {
  const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'refused by the test', code };
  answer.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(status));
}

async function edit(
  response: IncomingMessage,
  answer: ServerResponse,
  change: (body: unknown) => unknown,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = JSON.stringify(change(JSON.parse(Buffer.concat(chunks).toString())));
  answer.writeHead(response.statusCode ?? 502, { 'content-type': 'application/json' }).end(body);
}
