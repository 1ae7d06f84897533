/**
 * The host's side of the networks: a bridge for the pods and one per machine network, routing between them, and the wall that
 * lets machines of the `gateway` network reach nothing of the cluster but the east-west gateway.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { run } from './exec.ts';
import { cluster, gatewayAddress, ingressAddress, jumpHost, machineNetworks } from './layout.ts';
import { nodeToolsEnvironment, nodeToolsFolder } from './parts/debian.ts';
import { record } from './state.ts';

const direct = machineNetworks.direct;
const gateway = machineNetworks.gateway;
const inner = machineNetworks.inner;
const bridges = [
  { name: cluster.bridge, mac: '02:4d:4c:00:00:01', addresses: [`${cluster.podGateway}/24`] },
  {
    name: direct.bridge,
    mac: '02:4d:4c:00:00:02',
    addresses: [`${direct.host}/24`, `${gatewayAddress}/32`, `${ingressAddress}/32`],
  },
  { name: gateway.bridge, mac: '02:4d:4c:00:00:03', addresses: [`${gateway.host}/24`] },
  { name: inner.bridge, mac: '02:4d:4c:00:00:04', addresses: [`${inner.host}/24`] },
];
const bridgeNames = bridges.map((bridge) => bridge.name);

/** Ports of the east-west gateway that machines need: istiod by SNI, services by mTLS. */
const gatewayPorts = '15012,15443';

const networkChains = { wall: 'MESHLIFT-WALL', inner: 'MESHLIFT-INNER', forward: 'MESHLIFT-FORWARD' } as const;

/** What the sandbox and its kubelet set: recorded as found, so that `down` puts it back. */
const sysctls: Readonly<Record<string, string | undefined>> = {
  'net.ipv4.ip_forward': '1',
  'net.bridge.bridge-nf-call-iptables': '1',
  // Each machine's systemd and login manager takes some: the host's own limit is enough for about twenty machines.
  'fs.inotify.max_user_instances': '2048',
  'vm.overcommit_memory': undefined,
  'vm.panic_on_oom': undefined,
  'kernel.panic': undefined,
  'kernel.panic_on_oops': undefined,
  'kernel.keys.root_maxkeys': undefined,
  'kernel.keys.root_maxbytes': undefined,
};

export const sysctlFile = (key: string): string => join('/proc/sys', ...key.split('.'));

export async function makeNetworks(): Promise<void> {
  setSysctls();
  for (const bridge of bridges) await makeBridge(bridge);
  await makeWall();
  await makeInnerWall();
  await makeForwarding();
}

function setSysctls(): void {
  for (const [key, value] of Object.entries(sysctls)) {
    if (!existsSync(sysctlFile(key))) continue;
    const before = readFileSync(sysctlFile(key), 'utf8').trim();
    record({ kind: 'sysctl', key, before });
    if (value !== undefined && value !== before) writeFileSync(sysctlFile(key), value);
  }
}

async function makeBridge(bridge: (typeof bridges)[number]): Promise<void> {
  record({ kind: 'link', name: bridge.name });
  // One of a sandbox whose state file is lost.
  if (existsSync(`/sys/class/net/${bridge.name}`)) await run('ip', ['link', 'delete', bridge.name]);
  // A fixed hardware address: a bridge without one takes another whenever a machine joins, and neighbours lose it.
  await run('ip', ['link', 'add', bridge.name, 'address', bridge.mac, 'type', 'bridge']);
  for (const address of bridge.addresses) await run('ip', ['address', 'add', address, 'dev', bridge.name]);
  await run('ip', ['link', 'set', bridge.name, 'up']);
}

/** Before any address translation, where the packet still says which address and port the machine asked for. */
async function makeWall(): Promise<void> {
  const chain = networkChains.wall;
  await makeChain('mangle', chain);
  const allowed = [
    ['-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED'],
    ['-d', gatewayAddress, '-p', 'tcp', '-m', 'multiport', '--dports', gatewayPorts],
    ['-d', gateway.host, '-p', 'udp', '--dport', '53'],
    ['-d', gateway.host, '-p', 'tcp', '--dport', '53'],
    ['-d', gateway.host, '-p', 'icmp'],
  ];
  for (const match of allowed) await addRule('mangle', chain, [...match, '-j', 'RETURN']);
  await addRule('mangle', chain, ['-d', gateway.host, '-j', 'DROP']);
  await addRule('mangle', chain, ['-d', gateway.cidr, '-j', 'RETURN']);
  await addRule('mangle', chain, ['-j', 'DROP']);
  await addRecordedRule('mangle', 'PREROUTING', ['-i', gateway.bridge, '-j', chain]);
}

/** SSH of the inner machines is dropped, as a firewall does, unless the jump host asks; the host itself is held to it too. */
async function makeInnerWall(): Promise<void> {
  const chain = networkChains.inner;
  await makeChain('mangle', chain);
  await addRule('mangle', chain, ['-s', jumpHost.address, '-j', 'RETURN']);
  await addRule('mangle', chain, ['-p', 'tcp', '--dport', '22', '-j', 'DROP']);
  for (const from of ['OUTPUT', 'FORWARD']) await addRecordedRule('mangle', from, ['-o', inner.bridge, '-j', chain]);
}

/** For hosts whose FORWARD policy is not to forward: what passes between two bridges of the sandbox may. */
async function makeForwarding(): Promise<void> {
  const chain = networkChains.forward;
  await makeChain('filter', chain);
  for (const from of bridgeNames) {
    for (const to of bridgeNames) await addRule('filter', chain, ['-i', from, '-o', to, '-j', 'ACCEPT']);
  }
  await addRecordedRule('filter', 'FORWARD', ['-j', chain]);
}

async function makeChain(table: string, chain: string): Promise<void> {
  record({ kind: 'chain', table, chain });
  await iptables(['-t', table, '-N', chain]).catch(async () => await iptables(['-t', table, '-F', chain]));
}

async function addRecordedRule(table: string, chain: string, rule: readonly string[]): Promise<void> {
  record({ kind: 'rule', table, chain, rule });
  await addRule(table, chain, rule);
}

const addRule = async (table: string, chain: string, rule: readonly string[]): Promise<void> => {
  await iptables(['-t', table, '-A', chain, ...rule]);
};

/** iptables as the sandbox unpacked it; waits for the lock that kube-proxy may hold. */
export async function iptables(args: readonly string[]): Promise<string> {
  const tools = await nodeToolsFolder();
  return (await run(join(tools, 'bin', 'iptables'), ['-w', ...args], { env: nodeToolsEnvironment(tools) })).stdout;
}
