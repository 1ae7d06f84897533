/** Where machines reach istiod: what a machine is asked to connect to before it joins. */
import type { ClusterFacts } from '../../activities/ports/cluster-port.ts';

const ISTIOD_PORT = 15012;

/** One `address:port` for each address of the gateway. */
export function gatewayTargets(gateway: ClusterFacts['gateway']): readonly string[] {
  const addresses = gateway?.ip === undefined ? (gateway?.resolved ?? []) : [gateway.ip];
  return addresses.map((address) => `${address.includes(':') ? `[${address}]` : address}:${ISTIOD_PORT}`);
}
