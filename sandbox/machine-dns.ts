/**
 * The resolver of the machines: CoreDNS on the host's address of each machine network. It knows no name and says so at once,
 * as a site's resolver does for names of a cluster it has never heard of.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { machineNetworks, RUN } from './layout.ts';
import { goBuild } from './parts/go-builds.ts';
import { start, waitUntilReady } from './processes.ts';
import { canConnect } from './tcp.ts';

const home = join(RUN, 'machine-dns');
const addresses = Object.values(machineNetworks).map((network) => network.host);

const isListening = async (address: string): Promise<boolean> => await canConnect(address, 53);

const corefile = `.:53 {
    bind ${addresses.join(' ')}
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`;

export async function startMachineDns(): Promise<void> {
  const binary = join(await goBuild('coredns'), 'coredns');
  mkdirSync(home, { recursive: true });
  writeFileSync(join(home, 'Corefile'), corefile);
  const name = 'machine-dns';
  const pid = start({ name, file: binary, args: ['-conf', join(home, 'Corefile')] });
  await waitUntilReady({ name, pid }, 30_000, async () =>
    (await Promise.all(addresses.map(isListening))).every(Boolean),
  );
}
