/** A TCP server behind a door that a test can close: what is open is cut then, and nothing new comes through. */
import { connect, createServer, type Socket } from 'node:net';

import { closable } from './closable.ts';

export interface TcpDoor {
  /** Where the server is reached through the door. */
  readonly address: string;
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

export async function tcpDoor(to: string): Promise<TcpDoor> {
  const [host = '', toPort = ''] = to.split(':');
  const sockets = new Set<Socket>();
  const server = createServer((inner) => {
    const outer = connect(Number(toPort), host);
    for (const [end, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(end);
      end.on('error', () => other.destroy());
      end.on('close', () => {
        sockets.delete(end);
        other.destroy();
      });
      end.pipe(other);
    }
  });
  const { port, up, down } = await closable(server, sockets);
  return { address: `127.0.0.1:${port}`, up, down };
}
