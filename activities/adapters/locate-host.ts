/** Where a host is now, and which keys it may show; nothing is sent to it. */
import { lookup } from 'node:dns/promises';

import type { Host } from '../../api/schemas/machine.ts';
import { failure } from '../failures.ts';
import type { Located, LocatedHost } from '../ports/host-port.ts';
import { pinnedFingerprints } from './host-key.ts';

/** An address is itself; a name is looked up once, and the connection goes to what it was found to be. */
export async function locateHost({ jump, ...host }: Host): Promise<LocatedHost> {
  const [found, foundJump] = await Promise.all([locate(host), jump && locate(jump)]);
  return { ...host, ...found, ...(jump && foundJump ? { jump: { ...jump, ...foundJump } } : {}) };
}

async function locate({ address, port = 22, hostKey }: Omit<Host, 'jump'>): Promise<Located> {
  try {
    const { address: ip } = await lookup(address);
    return { ip, hostKeys: pinnedFingerprints(hostKey, address, port) };
  } catch (error) {
    throw failure(
      'HostUnreachable',
      `The name ${address} does not resolve here (${error instanceof Error ? error.message : String(error)}); correct it, or give the host's IP address`,
      error,
    );
  }
}
