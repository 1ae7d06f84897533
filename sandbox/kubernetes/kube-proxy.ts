/** kube-proxy: the cluster's Services, and the load balancer address of the gateway, as iptables rules of the host. */
import { join } from 'node:path';

import { cluster } from '../layout.ts';
import { nodeToolsEnvironment, nodeToolsFolder } from '../parts/debian.ts';
import { goBuild } from '../parts/go-builds.ts';
import { start } from '../processes.ts';
import { writeKubeconfig } from './kubeconfig.ts';

/** No limit, timeout or sysctl of the host's connection tracking is touched, and no port of the host is opened. */
export async function startKubeProxy(): Promise<void> {
  const [binaries, tools] = await Promise.all([goBuild('kubernetes'), nodeToolsFolder()]);
  const args = [
    ...['--kubeconfig', writeKubeconfig('proxy'), '--hostname-override', cluster.nodeName, '--proxy-mode', 'iptables'],
    ...[
      '--conntrack-max-per-core',
      '0',
      '--conntrack-tcp-timeout-established',
      '0',
      '--conntrack-tcp-timeout-close-wait',
      '0',
    ],
    ...[
      '--iptables-localhost-nodeports=false',
      '--nodeport-addresses',
      cluster.podCidr,
      '--iptables-min-sync-period',
      '200ms',
    ],
    ...['--healthz-bind-address', '127.0.0.1:10256', '--metrics-bind-address', '127.0.0.1:10249'],
  ];
  start({ name: 'kube-proxy', file: join(binaries, 'kube-proxy'), args, env: nodeToolsEnvironment(tools) });
}
