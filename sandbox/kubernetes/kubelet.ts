/** The kubelet: registers this host as the cluster's node and runs its pods in a cgroup of the sandbox's own. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cluster, RUN } from '../layout.ts';
import { nodeToolsEnvironment, nodeToolsFolder } from '../parts/debian.ts';
import { goBuild } from '../parts/go-builds.ts';
import { logFile, start } from '../processes.ts';
import { weighAsHost } from '../processor-time.ts';
import { record } from '../state.ts';
import { waitFor, yes } from '../wait.ts';
import { containerdSocket } from './ctr.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { kubectl } from './kubectl.ts';
import { certificateFile } from './pki.ts';

const home = join(RUN, 'kubelet');
const cgroupRoot = 'meshlift-sandbox';
const cgroups = '/sys/fs/cgroup';
/** Folders outside the run folder that the kubelet insists on. */
const insistedFolders = ['/var/log/containers', '/var/lib/kubelet', '/var/lib/kubelet/device-plugins'];

export async function startKubelet(): Promise<void> {
  const [binaries, tools] = await Promise.all([goBuild('kubernetes'), nodeToolsFolder()]);
  mkdirSync(home, { recursive: true });
  makeCgroups();
  for (const path of insistedFolders) if (!existsSync(path)) record({ kind: 'path', path });
  writeFileSync(join(home, 'resolv.conf'), `nameserver ${cluster.dnsServiceIp}\n`);
  writeFileSync(join(home, 'config.json'), JSON.stringify(configuration, null, 2));
  const args = [
    ...[
      '--config',
      join(home, 'config.json'),
      '--kubeconfig',
      writeKubeconfig('node'),
      '--root-dir',
      join(home, 'root'),
    ],
    ...['--cert-dir', join(home, 'pki'), '--hostname-override', cluster.nodeName, '--node-ip', cluster.podGateway],
  ];
  start({ name: 'kubelet', file: join(binaries, 'kubelet'), args, env: nodeToolsEnvironment(tools) });
}

export async function waitForNode(): Promise<void> {
  const path = '{.status.conditions[?(@.type=="Ready")].status}';
  await waitFor({ what: 'the node to be Ready', timeoutMs: 60_000, see: logFile('kubelet') }, async () =>
    yes((await kubectl(['get', 'node', cluster.nodeName, '-o', `jsonpath=${path}`])) === 'True'),
  );
}

/** On a host with cgroup v1 every controller is a tree of its own; with v2 there is one. */
function cgroupTrees(): string[] {
  if (existsSync(join(cgroups, 'cgroup.controllers'))) return [cgroups];
  return readdirSync(cgroups, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(cgroups, entry.name));
}

function makeCgroups(): void {
  for (const tree of cgroupTrees()) {
    const path = join(tree, cgroupRoot);
    record({ kind: 'cgroup', path });
    mkdirSync(path, { recursive: true });
    weighAsHost(path);
  }
}

const configuration = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address: cluster.podGateway,
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: certificateFile('ca') },
  },
  authorization: { mode: 'Webhook' },
  cgroupDriver: 'cgroupfs',
  cgroupRoot: `/${cgroupRoot}`,
  containerRuntimeEndpoint: `unix://${containerdSocket}`,
  clusterDNS: [cluster.dnsServiceIp],
  clusterDomain: cluster.domain,
  resolvConf: join(home, 'resolv.conf'),
  failCgroupV1: false,
  failSwapOn: false,
  localStorageCapacityIsolation: false,
  // The host's own chains stay as they are; kube-proxy needs none of the kubelet's.
  makeIPTablesUtilChains: false,
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '1%',
    'nodefs.inodesFree': '1%',
    'imagefs.available': '1%',
  },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
  podLogsDir: join(home, 'pod-logs'),
  volumePluginDir: join(home, 'volume-plugins'),
  logging: { verbosity: 1 },
};
