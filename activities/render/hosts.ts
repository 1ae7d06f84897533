/** Lines for /etc/hosts, by which the machine finds its istiod behind the east-west gateway. */
import type { ClusterFacts } from '../ports/cluster-port.ts';
import { istiodHost } from './names.ts';

/** One line per address; none where there is no gateway, and the machine must then reach istiod by DNS. */
export function renderHostsLines(
  gateway: ClusterFacts['gateway'],
  revision: string,
  istioNamespace: string,
): readonly string[] {
  const addresses = gateway?.ip === undefined ? (gateway?.resolved ?? []) : [gateway.ip];
  return [...addresses].sort().map((address) => `${address} ${istiodHost(revision, istioNamespace)}`);
}
