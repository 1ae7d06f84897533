/** The way in for callers outside the mesh: HTTP on port 80, to whatever VirtualServices bind to Gateway `ingress`. */
import { apply, type KubernetesObject } from '../kubernetes/kubectl.ts';
import { ingressAddress, istio } from '../layout.ts';
import { gatewayObjects, setGatewayAddress, waitForGateway } from './gateway.ts';

const name = 'istio-ingressgateway';
const kind = 'ingressgateway';

const httpGateway: KubernetesObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'Gateway',
  metadata: { name: 'ingress', namespace: istio.namespace },
  spec: {
    selector: { istio: kind },
    servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
  },
};

/** Needs istiod, as the east-west gateway does. */
export async function applyIngressGateway(): Promise<void> {
  const ports = [
    { name: 'status-port', port: 15021, targetPort: 15021 },
    { name: 'http2', port: 80, targetPort: 80 },
  ];
  await apply([...gatewayObjects({ name, kind, ports }), httpGateway]);
  await setGatewayAddress(name, ingressAddress);
}

/** Port 80 has a listener only once somebody routes it. */
export async function waitForIngressGateway(): Promise<void> {
  await waitForGateway(name, ingressAddress, [15021]);
}
