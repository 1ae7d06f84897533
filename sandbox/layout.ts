/** Where everything of the sandbox lives and which addresses it uses: one sandbox per machine, never in a checkout. */
import { join } from 'node:path';

import { CACHE, RUN } from '../build/preflight.mjs';

export { CACHE, RUN };

export const paths = {
  state: join(RUN, 'state.json'),
  lock: join(RUN, 'lock'),
  logs: join(RUN, 'logs'),
  pki: join(RUN, 'pki'),
  kubeconfig: join(RUN, 'admin.kubeconfig'),
  ssh: join(RUN, 'ssh'),
  sshKey: join(RUN, 'ssh', 'id_ed25519'),
  knownHosts: join(RUN, 'ssh', 'known_hosts'),
  machines: join(RUN, 'machines'),
  packages: join(RUN, 'packages'),
  audit: join(RUN, 'audit'),
} as const;

/** Node, pods and services: the cluster's own bridge. */
export const cluster = {
  nodeName: 'sandbox',
  bridge: 'mlpods0',
  podCidr: '10.244.0.0/24',
  podGateway: '10.244.0.1',
  serviceCidr: '10.96.0.0/16',
  apiServiceIp: '10.96.0.1',
  dnsServiceIp: '10.96.0.10',
  domain: 'cluster.local',
} as const;

/**
 * Machines of `--network direct` share a routed bridge with the pods' host; those of `--network gateway` stand on a bridge of
 * their own from which only the east-west gateway's address is reachable in the cluster; those of `--network inner` are
 * routed as direct ones are, but their SSH answers nobody except the jump host.
 */
export const machineNetworks = {
  direct: { bridge: 'mlvms0', cidr: '10.245.0.0/24', host: '10.245.0.1', first: 11, network: '' },
  gateway: { bridge: 'mlvms1', cidr: '10.246.0.0/24', host: '10.246.0.1', first: 11, network: 'vm-net' },
  inner: { bridge: 'mlvms2', cidr: '10.247.0.0/24', host: '10.247.0.1', first: 11, network: '' },
} as const;
export type MachineNetwork = keyof typeof machineNetworks;

/** A machine of the direct network, made with the first machine of the inner one. */
export const jumpHost = { name: 'jump', address: '10.245.0.10' } as const;

/** Address of the east-west gateway: sits on the direct bridge's host side, and moves by another address and a patch. */
export const gatewayAddress = '10.245.0.2';
/** Of the ingress gateway, where callers outside the mesh come in. */
export const ingressAddress = '10.245.0.3';

/**
 * What a machine or a pod can serve: HTTP, gRPC, lines echoed over plain TCP, and a server that speaks first. Services and
 * WorkloadGroups name the ports as `portNames` do, because Istio reads the protocol off the name.
 */
export const appPorts = { http: 8080, grpc: 9090, tcp: 7070, greeting: 2525 } as const;
export type App = keyof typeof appPorts;
export const portNames = { http: 'http', grpc: 'grpc', tcp: 'tcp', greeting: 'tcp-greeting' } as const;

/** Ports on the host; the API server also listens on the bridges, everything else on loopback. */
export const ports = {
  etcd: 12379,
  etcdPeer: 12380,
  apiServer: 16443,
  temporal: 7233,
  temporalUi: 8233,
  prometheus: 19090,
  meshliftApi: 8080,
} as const;

export const istio = {
  revision: '1-30-0',
  version: '1.30.0',
  namespace: 'istio-system',
  clusterId: 'Kubernetes',
} as const;
export const temporalNamespace = 'meshlift';
/** The ordinary login user of every machine. */
export const loginUser = 'ops';
