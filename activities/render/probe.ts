/** Where the agent sends the probe of a WorkloadGroup. */

/**
 * By itself the agent probes the machine's own address. An httpGet probe leaves from 127.0.0.6, which the redirection lets pass; a
 * tcpSocket or grpc probe does not, and meets the proxy in place of the application: a TCP connection to it always succeeds, and
 * under STRICT plaintext gRPC always fails [istio pkg/istio-agent/health/health_probers.go, health_check.go]. Both are sent to localhost.
 * The port; undefined where the probe goes elsewhere, or there is none.
 */
export function portAtLocalhost(probe: Readonly<Record<string, unknown>> = {}): number | undefined {
  const { tcpSocket, grpc } = probe as { tcpSocket?: Target; grpc?: Target };
  const target = tcpSocket ?? grpc;
  return target?.host === undefined || target.host === '' ? target?.port : undefined;
}

interface Target {
  readonly port: number;
  readonly host?: string;
}
