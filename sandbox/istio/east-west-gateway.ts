/**
 * The way in for machines on a network of their own: istiod by server name on 15012, services by mTLS on 15443. Its Service is a
 * load balancer whose address the sandbox gives, as a cloud would: moving it is another address and another patch.
 */
import { apply, type KubernetesObject } from '../kubernetes/kubectl.ts';
import { gatewayAddress, istio } from '../layout.ts';
import { istiodName } from './control-plane.ts';
import { gatewayObjects, setGatewayAddress, waitForGateway } from './gateway.ts';
import { clusterNetwork } from './operator.ts';

const name = 'istio-eastwestgateway';
const kind = 'eastwestgateway';
const { namespace } = istio;

const objects = gatewayObjects({
  name,
  kind,
  labels: { 'topology.istio.io/network': clusterNetwork },
  env: [{ name: 'ISTIO_META_REQUESTED_NETWORK_VIEW', value: clusterNetwork }],
  ports: [
    { name: 'status-port', port: 15021, targetPort: 15021 },
    { name: 'tls', port: 15443, targetPort: 15443 },
    { name: 'tls-istiod', port: 15012, targetPort: 15012 },
    { name: 'tls-webhook', port: 15017, targetPort: 15017 },
  ],
});

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
    spec: { selector: { istio: kind }, servers },
  };
}

/** Needs istiod: it injects the gateway's proxy and validates the objects. */
export async function applyEastWestGateway(): Promise<void> {
  await apply([...objects, ...exposure]);
  await setGatewayAddress(name, gatewayAddress);
}

export async function waitForEastWestGateway(): Promise<void> {
  await waitForGateway(name, gatewayAddress, [15012, 15443]);
}
