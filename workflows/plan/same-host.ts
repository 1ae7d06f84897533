/** Which machines are on one host: a host key and an address belong to one machine in all namespaces. */
import { hostPlace } from '../../activities/render/host-identity.ts';
import type { KnownMachine } from '../../activities/ports/cluster-port.ts';
import type { Host } from '../../api/schemas/machine.ts';

export interface HostOfMachine {
  readonly namespace: string;
  readonly name: string;
  readonly host: Host;
  /** Fingerprint of the key that the host has shown. */
  readonly hostKey: string;
}

/** Those of other names that have the host's key, or are reached where it is. */
export function othersOnHost(machines: readonly KnownMachine[], claimed: HostOfMachine): KnownMachine[] {
  const place = hostPlace(claimed.host);
  return machines.filter(
    ({ namespace, name, hostKey, hostPlace: at }) =>
      (namespace !== claimed.namespace || name !== claimed.name) && (hostKey === claimed.hostKey || at === place),
  );
}
