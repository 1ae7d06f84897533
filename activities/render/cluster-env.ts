/** `cluster.env`: the proxy's environment, sourced by the start script and by the capture script. */
import { istiodAddress } from './names.ts';
import { portAtLocalhost } from './probe.ts';
import type { Group } from './workload-group.ts';

export interface ClusterEnvInput {
  readonly group: Group;
  readonly revision: string;
  readonly istioNamespace: string;
  /** The address that the machine registers with. */
  readonly address: string;
  /** The address is not on the machine itself: probes then go to localhost. */
  readonly isExternal: boolean;
  /** Every port sshd listens on. */
  readonly sshdPorts: readonly number[];
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** 0: the agent's default, 15020. */
  readonly statusPort: number;
}

/** Sorted lines `KEY='value'`; the computed keys win over proxyMetadata. */
export function renderClusterEnv(input: ClusterEnvInput): string {
  const { group } = input;
  const env: Readonly<Record<string, string>> = {
    ...input.proxyMetadata,
    ISTIO_INBOUND_PORTS: '*',
    ISTIO_LOCAL_EXCLUDE_PORTS: excludedPorts(input.statusPort, input.sshdPorts).join(','),
    ISTIO_NAMESPACE: group.namespace,
    ISTIO_SERVICE: `${group.name}.${group.namespace}`,
    ISTIO_SERVICE_CIDR: '*',
    SERVICE_ACCOUNT: group.serviceAccount,
    CA_ADDR: istiodAddress(input.revision, input.istioNamespace),
    ISTIO_SVC_IP: input.address,
    ...(input.isExternal || portAtLocalhost(group.spec.probe) !== undefined
      ? { REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION: 'true' }
      : {}),
    ISTIO_CUSTOM_IP_TABLES: 'true',
  };
  const lines = Object.entries(env).map(([key, value]) => `${key}=${quote(value)}`);
  return lines.sort((a, b) => (a < b ? -1 : 1)).join('\n') + '\n';
}

/** istioctl's list (SSH, Envoy's metrics and readiness, the agent's status port), then the ports sshd really uses. */
function excludedPorts(statusPort: number, sshdPorts: readonly number[]): readonly number[] {
  const agentPort = statusPort === 0 ? 15020 : statusPort;
  return [...new Set([22, 15090, 15021, agentPort, ...[...sshdPorts].sort((a, b) => a - b)])];
}

const quote = (value: string): string => `'${value.replaceAll("'", `'"'"'`)}'`;
