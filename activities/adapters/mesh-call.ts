/** One HTTP call that leaves from a machine, over its SSH connection: its proxy takes it as a call of its applications. */
import { request } from 'node:http';

import type { MeshCall } from '../ports/host-port.ts';
import type { SshConnection } from './ssh-connection.ts';

const ANSWER_WITHIN_MS = 15_000;

/** Answers with the status, whichever it is; rejects where no answer came. */
export async function callThrough(
  connection: SshConnection,
  { host, port, path, headers }: MeshCall,
  signal: AbortSignal,
): Promise<number> {
  const channel = await connection.dial(host, port);
  return await new Promise((resolve, reject) => {
    const call = request(
      {
        path,
        headers: { ...headers, host: port === 80 ? host : `${host}:${port}`, connection: 'close' },
        createConnection: () => channel,
        signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      },
      (response) => {
        response.resume();
        response.on('error', reject);
        response.on('end', () => {
          resolve(response.statusCode ?? 0);
        });
      },
    );
    call.on('error', reject);
    call.end();
  });
}
