/** containerd with its own folders, socket and CNI network, so that it shares nothing with another one on the host. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cluster, RUN } from '../layout.ts';
import { nodeToolsEnvironment, nodeToolsFolder } from '../parts/debian.ts';
import { start, waitUntilReady } from '../processes.ts';
import { record } from '../state.ts';
import { containerdSocket, ctr } from './ctr.ts';
import { pauseImage } from './images.ts';

const home = join(RUN, 'containerd');
const cni = { config: join(RUN, 'cni', 'net.d'), leases: join(RUN, 'cni', 'leases') };

/** Folders outside the run folder that containerd and its libraries insist on. */
const insistedFolders = ['/run/containerd', '/var/lib/cni'];

export async function startContainerd(): Promise<void> {
  const tools = await nodeToolsFolder();
  for (const path of insistedFolders) if (!existsSync(path)) record({ kind: 'path', path });
  for (const folder of [home, cni.config]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(cni.config, '10-sandbox.conflist'), JSON.stringify(network, null, 2));
  writeFileSync(join(home, 'config.toml'), configuration(tools));
  const name = 'containerd';
  const args = ['--config', join(home, 'config.toml')];
  const pid = start({ name, file: join(tools, 'bin', name), args, env: nodeToolsEnvironment(tools) });
  await waitUntilReady({ name, pid }, 30_000, async () => (await ctr(['version'])) !== '');
}

/** Pods keep their own address on the way to machines, so there is no masquerading. */
const network = {
  cniVersion: '1.0.0',
  name: 'sandbox',
  plugins: [
    {
      type: 'bridge',
      bridge: cluster.bridge,
      isGateway: true,
      hairpinMode: true,
      ipMasq: false,
      ipam: {
        type: 'host-local',
        dataDir: cni.leases,
        ranges: [[{ subnet: cluster.podCidr }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
};

/** `restrict_oom_score_adj`: without CAP_SYS_RESOURCE no pod sandbox starts otherwise. */
const configuration = (tools: string): string => `version = 2
root = "${join(home, 'root')}"
state = "${join(home, 'state')}"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]

[grpc]
  address = "${containerdSocket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${join(home, 'opt')}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${join(tools, 'usr', 'lib', 'cni')}"
    conf_dir = "${cni.config}"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "${join(tools, 'bin', 'runc')}"
      Root = "${join(RUN, 'runc')}"
      SystemdCgroup = false
`;
