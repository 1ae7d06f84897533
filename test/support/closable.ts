/** A server of loopback that a test takes down, with what is connected, and up again on the same port. */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';

export interface Closable {
  readonly port: number;
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
}

/** Listens; `sockets` are the connections that going down destroys. */
export async function closable(server: Server, sockets: ReadonlySet<Socket>): Promise<Closable> {
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
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
