/** The least that can be done over ssh2: one connection and one exec a machine, which unpacks the same bytes. */
import { once } from 'node:events';

import ssh2 from 'ssh2';

import type { BenchMachine } from './fleet.ts';
import { login } from './parts.ts';

const command = 'sudo -n tar -x --numeric-owner -f - -C /';

/** Pushes each machine's tar to it, all at once. */
export async function pushBare(
  machines: readonly BenchMachine[],
  privateKey: string,
  tarOf: (machine: BenchMachine) => Buffer,
): Promise<void> {
  await Promise.all(machines.map((machine) => pushOne(machine, privateKey, tarOf(machine))));
}

async function pushOne({ name, port, knownHost }: BenchMachine, privateKey: string, tar: Buffer): Promise<void> {
  const client = new ssh2.Client();
  const wanted = knownHost.split(' ')[2];
  client.connect({
    host: '127.0.0.1',
    port,
    username: login.user,
    privateKey,
    hostVerifier: (key: Buffer) => key.toString('base64') === wanted,
  });
  await once(client, 'ready');
  // A machine that is taken down later is no failure of this push.
  client.on('error', () => undefined);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  client.exec(command, (error, channel) => {
    if (error) {
      reject(error);
      return;
    }
    const told: Buffer[] = [];
    channel.resume();
    channel.stderr.on('data', (chunk: Buffer) => told.push(chunk));
    channel.on('close', (code: number | null) => {
      if (code === 0) resolve(undefined);
      else reject(new Error(`tar on ${name} ended with ${code}: ${Buffer.concat(told).toString()}`));
    });
    channel.end(tar);
  });
  await promise.finally(() => client.end());
}
