/** A TCP server behind a door that a test can close: what is open is cut then, and nothing new comes through. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

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
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    up: async () => {
      await listen(port);
    },
    down: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
