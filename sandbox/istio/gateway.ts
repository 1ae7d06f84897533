/** A gateway of Istio as its chart installs one: injected, behind a load balancer whose address the sandbox gives, as a cloud would. */
import { istio } from '../layout.ts';
import { kubectl, type KubernetesObject, waitForDeployment } from '../kubernetes/kubectl.ts';
import { canConnect } from '../tcp.ts';
import { waitFor, yes } from '../wait.ts';

export interface GatewayParts {
  readonly name: string;
  /** Value of the label `istio`, which Gateways select. */
  readonly kind: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: number }[];
}

const { namespace } = istio;

/** Account, Service and Deployment. */
export function gatewayObjects({
  name,
  kind,
  labels: more = {},
  env = [],
  ports,
}: GatewayParts): readonly KubernetesObject[] {
  const selector = { app: name, istio: kind };
  const labels = { ...selector, ...more };
  const metadata = { name, namespace, labels };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      // Node ports would open the gateway on every address of the host.
      spec: {
        type: 'LoadBalancer',
        allocateLoadBalancerNodePorts: false,
        selector,
        ports: ports.map((port) => ({ ...port, protocol: 'TCP' })),
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: selector },
        template: {
          metadata: {
            labels: { ...labels, 'istio.io/rev': istio.revision, 'sidecar.istio.io/inject': 'true' },
            annotations: { 'inject.istio.io/templates': 'gateway' },
          },
          spec: {
            serviceAccountName: name,
            containers: [
              {
                name: 'istio-proxy',
                image: 'auto',
                imagePullPolicy: 'Never',
                env,
                resources: { requests: { cpu: '10m', memory: '32Mi' } },
              },
            ],
          },
        },
      },
    },
  ];
}

/** What a cloud's load balancer controller does once it has an address. */
export async function setGatewayAddress(name: string, address: string): Promise<void> {
  const status = { status: { loadBalancer: { ingress: [{ ip: address }] } } };
  const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify(status)];
  await kubectl(['patch', 'service', name, '-n', namespace, ...patch]);
}

/** Ready is when its address leads to it: deployment, load balancer rules and the proxy's listeners. */
export async function waitForGateway(name: string, address: string, ports: readonly number[]): Promise<void> {
  await waitForDeployment(namespace, name, 180);
  for (const port of ports) {
    const what = `${address}:${port} to lead to ${name}`;
    await waitFor({ what, timeoutMs: 60_000, see: `kubectl -n ${namespace} logs deploy/${name}` }, async () =>
      yes(await canConnect(address, port)),
    );
  }
}
