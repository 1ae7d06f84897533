/** Brings the sandbox up: everything that does not wait for another starts at once. */
import { applyControlPlane, waitForIstiod } from './istio/control-plane.ts';
import { applyEastWestGateway, waitForEastWestGateway } from './istio/east-west-gateway.ts';
import { applyIngressGateway, waitForIngressGateway } from './istio/ingress-gateway.ts';
import { down } from './down.ts';
import { requireFreePorts } from './free-ports.ts';
import { startContainerd } from './kubernetes/containerd.ts';
import { startControlPlane } from './kubernetes/control-plane.ts';
import { startClusterDns } from './kubernetes/dns.ts';
import { buildImages, importMeshImages, importNodeImages } from './kubernetes/images.ts';
import { startKubeProxy } from './kubernetes/kube-proxy.ts';
import { startKubelet, waitForNode } from './kubernetes/kubelet.ts';
import { checkout } from './lock.ts';
import { layPackages } from './machines/deb.ts';
import { rootFilesystem } from './machines/root.ts';
import { ensureSshKey } from './machines/ssh-keys.ts';
import { makeNetworks } from './network.ts';
import { nodeToolsFolder, prometheusFolder } from './parts/debian.ts';
import { goBuild } from './parts/go-builds.ts';
import { isAlive } from './processes.ts';
import { say, step } from './progress.ts';
import { startPrometheus } from './prometheus.ts';
import { startMachineDns } from './machine-dns.ts';
import { platformProcesses, readState, writeState, type State } from './state.ts';
import { startTemporal } from './temporal.ts';
import { bankPods, bankServices, waitForBank } from './workloads/bank.ts';
import { applyNamespaces, applySshCredentials } from './workloads/namespaces.ts';
import { shopPods, shopServices, waitForShop } from './workloads/shop.ts';
import { apply } from './kubernetes/kubectl.ts';

/** Returns at once when it is up already; takes the rest of a crashed one away first; refuses another checkout's. */
export async function up(): Promise<void> {
  const state = readState();
  if (state !== undefined) {
    const pid = holderOf(state);
    if (pid !== undefined && state.checkout !== checkout) {
      throw new Error(
        `A sandbox of ${state.checkout} is up (process ${pid}); there take it down first: npm run sandbox -- down`,
      );
    }
    if (isWhole(state)) {
      say('the sandbox is up already');
      return;
    }
  }
  await down();
  await requireFreePorts();
  await buildParts();
  writeState({ checkout, startedAt: new Date().toISOString(), items: [], machines: [] });
  await bringUp();
  markReady();
  say('the sandbox is up');
}

function markReady(): void {
  const state = readState();
  if (state === undefined)
    throw new Error(`The state file of the sandbox vanished while it came up; run: npm run sandbox -- up`);
  writeState({ ...state, readyAt: new Date().toISOString() });
}

const holderOf = (state: State): number | undefined =>
  state.items.filter((item) => item.kind === 'process').find(isAlive)?.pid;
const isWhole = (state: State): boolean => state.readyAt !== undefined && platformProcesses(state).every(isAlive);

/** Everything that a warm cache makes a matter of milliseconds. */
async function buildParts(): Promise<void> {
  await Promise.all([
    ...(['kubernetes', 'istio', 'coredns', 'temporal', 'pause', 'app'] as const).map(goBuild),
    nodeToolsFolder(),
    prometheusFolder(),
    buildImages(),
    rootFilesystem(),
  ]);
}

async function bringUp(): Promise<void> {
  await step('making the networks', makeNetworks);
  const packages = layPackages();
  const temporal = step('starting Temporal', startTemporal);
  const containers = step('starting containerd', startContainerd);
  const images = containers.then(async () => {
    await step('importing images', async () => {
      await Promise.all([importNodeImages(), importMeshImages()]);
    });
  });
  const api = step('starting etcd and the Kubernetes control plane', startControlPlane);
  const node = Promise.all([api, containers]).then(async () => {
    await step('starting kubelet and kube-proxy', startNode);
  });
  const prometheus = api.then(async () => {
    await step('starting Prometheus', startPrometheus);
  });
  const namespaces = api.then(async () => {
    ensureSshKey();
    await applyNamespaces();
    await applySshCredentials();
    await apply([...shopServices, ...bankServices]);
  });
  const dns = Promise.all([api, images]).then(async () => {
    await step('starting the DNS of cluster and machines', async () => {
      await Promise.all([startClusterDns(), startMachineDns()]);
    });
  });
  const istiod = Promise.all([api, images]).then(async () => {
    await step('starting istiod', async () => {
      await applyControlPlane();
      await waitForIstiod();
    });
  });
  const mesh = Promise.all([istiod, namespaces]).then(async () => {
    await step('starting the gateway and the workloads', startMeshed);
  });
  await Promise.all([packages, temporal, images, node, dns, mesh, prometheus]);
}

async function startNode(): Promise<void> {
  await Promise.all([startKubelet(), startKubeProxy()]);
  await waitForNode();
}

async function startMeshed(): Promise<void> {
  await Promise.all([applyEastWestGateway(), applyIngressGateway()]);
  await apply([...shopPods, ...bankPods]);
  await Promise.all([waitForEastWestGateway(), waitForIngressGateway(), waitForShop(), waitForBank()]);
}
