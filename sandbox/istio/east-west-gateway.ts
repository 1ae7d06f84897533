/**
 * The way in for machines on a network of their own: istiod by server name on 15012, services by mTLS on 15443. Its Service is a
 * load balancer whose address the sandbox gives, as a cloud would: moving it is another address and another patch.
 */
import { gatewayAddress, istio } from '../layout.ts';
import { canConnect } from '../tcp.ts';
import { waitFor, yes } from '../wait.ts';
import { apply, kubectl, waitForDeployment, type KubernetesObject } from '../kubernetes/kubectl.ts';
import { istiodName } from './control-plane.ts';
import { clusterNetwork } from './operator.ts';

const name = 'istio-eastwestgateway';
const { namespace } = istio;
const selector = { app: name, istio: 'eastwestgateway' };
const labels = { ...selector, 'topology.istio.io/network': clusterNetwork };
const metadata = { name, namespace, labels };

const ports = [
  { name: 'status-port', port: 15021 },
  { name: 'tls', port: 15443 },
  { name: 'tls-istiod', port: 15012 },
  { name: 'tls-webhook', port: 15017 },
].map((port) => ({ ...port, targetPort: port.port, protocol: 'TCP' }));

const deployment: KubernetesObject = {
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
            env: [{ name: 'ISTIO_META_REQUESTED_NETWORK_VIEW', value: clusterNetwork }],
            resources: { requests: { cpu: '10m', memory: '32Mi' } },
          },
        ],
      },
    },
  },
};

/** Node ports would open the gateway on every address of the host. */
const service: KubernetesObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata,
  spec: { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, selector, ports },
};

const istiodGateway = 'istiod-gateway';
const istiodHost = `${istiodName}.${namespace}.svc`;
/** [port at the gateway, port of istiod's Service]. */
const istiodRoutes = [
  [15012, 15012],
  [15017, 443],
] as const;

const exposure: readonly KubernetesObject[] = [
  gateway(
    istiodGateway,
    istiodRoutes.map(([number]) => ({
      port: { number, name: `tls-${number}`, protocol: 'TLS' },
      tls: { mode: 'PASSTHROUGH' },
      hosts: ['*'],
    })),
  ),
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: `istiod-vs-${istio.revision}`, namespace },
    spec: {
      hosts: ['*'],
      gateways: [istiodGateway],
      tls: istiodRoutes.map(([port, number]) => ({
        match: [{ port, sniHosts: [istiodHost, `${istiodHost}.cluster.local`] }],
        route: [{ destination: { host: `${istiodHost}.cluster.local`, port: { number } } }],
      })),
    },
  },
  gateway('cross-network-gateway', [
    { port: { number: 15443, name: 'tls', protocol: 'TLS' }, tls: { mode: 'AUTO_PASSTHROUGH' }, hosts: ['*.local'] },
  ]),
];

function gateway(gatewayName: string, servers: readonly unknown[]): KubernetesObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name: gatewayName, namespace },
    spec: { selector: { istio: selector.istio }, servers },
  };
}

/** Needs istiod: it injects the gateway's proxy and validates the objects. */
export async function applyEastWestGateway(): Promise<void> {
  await apply([{ apiVersion: 'v1', kind: 'ServiceAccount', metadata }, service, deployment, ...exposure]);
  await setGatewayAddress(gatewayAddress);
}

/** Ready is when its address leads to it: deployment, load balancer rules and the proxy's listeners. */
export async function waitForEastWestGateway(): Promise<void> {
  await waitForDeployment(namespace, name, 180);
  for (const port of [15012, 15443]) {
    const what = `${gatewayAddress}:${port} to lead to ${name}`;
    await waitFor({ what, timeoutMs: 60_000, see: `kubectl -n ${namespace} logs deploy/${name}` }, async () =>
      yes(await canConnect(gatewayAddress, port)),
    );
  }
}

/** What a cloud's load balancer controller does once it has an address. */
async function setGatewayAddress(address: string): Promise<void> {
  const status = { status: { loadBalancer: { ingress: [{ ip: address }] } } };
  await kubectl([
    'patch',
    'service',
    name,
    '-n',
    namespace,
    '--subresource=status',
    '--type=merge',
    '-p',
    JSON.stringify(status),
  ]);
}
