/** What must be true of a machine's network, and what stands there that capture would meet. */
import { isUntouched } from './plan-input.ts';
import { fails, holds, listed } from './verdicts.ts';
import type { Check } from './verdicts.ts';

/** What Envoy and pilot-agent listen on lies between these. */
const [FIRST_PROXY_PORT, LAST_PROXY_PORT] = [15_000, 15_090];
/** Docker's, CNI's and their pairs into containers. */
const CONTAINER_INTERFACE = /^(docker|cni|br-|veth|cali|flannel|podman|virbr)/;
/** Judged only where no proxy of ours runs: a member's own proxy holds these ports. */
const portsFree: Check = (input) => {
  const {
    machine,
    request: { name },
  } = input;
  if (!machine || !isUntouched(input)) return undefined;
  const taken = machine.listening.filter(({ port }) => port >= FIRST_PROXY_PORT && port <= LAST_PROXY_PORT);
  const named = [...new Set(taken.map(({ port, process }) => (process ? `${port} (${process})` : String(port))))];
  return named.length === 0
    ? holds('PortsFree', `The proxy's ports, ${FIRST_PROXY_PORT} to ${LAST_PROXY_PORT}, are free on ${name}`)
    : fails(
        'PortsFree',
        'PortsTaken',
        `${name} already listens on ${named.join(', ')}, which the proxy needs; move these, or remove the proxy that was set up by hand`,
      );
};

/** They are kept from capture: a port that is not known would be cut off with the machine behind it. */
const sshPortsKnown: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  const { sshdPorts } = machine;
  return sshdPorts.length > 0
    ? holds('SshPortsKnown', `sshd of ${name} listens on ${sshdPorts.join(', ')}, which capture leaves alone`)
    : fails(
        'SshPortsKnown',
        'SshPortsUnknown',
        `No port of sshd was found on ${name}, so capture would cut the way in; see what ss -ltnp and sshd -T say there (only OpenSSH is known)`,
      );
};

/** Rules of istio-iptables that Meshlift did not set belong to somebody's hand-made join. */
const noForeignRedirect: Check = (input) => {
  const {
    machine,
    request: { name },
  } = input;
  if (!machine || !isUntouched(input)) return undefined;
  return machine.isCaptured
    ? fails(
        'NoForeignRedirect',
        'RedirectedByOthers',
        `${name} has redirection rules of Istio that Meshlift did not set; remove them with pilot-agent istio-iptables --cleanup-only`,
      )
    : holds('NoForeignRedirect', `No redirection rules of another Istio stand on ${name}`);
};

const noOtherRedirects: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  return machine.redirects.length === 0
    ? holds('NoOtherRedirects', `No other rules redirect traffic on ${name}`, 'Warning')
    : fails(
        'NoOtherRedirects',
        'TrafficRedirected',
        `${name} redirects traffic by rules of its own, which stand beside those of the proxy: ${listed(machine.redirects)}; see that none of them is for a port of the workload`,
        'Warning',
      );
};

const noContainerNetworks: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  const found = machine.interfaces.filter((each) => CONTAINER_INTERFACE.test(each));
  return found.length === 0
    ? holds('NoContainerNetworks', `${name} has no networks of containers`, 'Warning')
    : fails(
        'NoContainerNetworks',
        'ContainerNetworksFound',
        `${name} has networks of containers (${listed(found)}): what comes from them is captured like callers from outside; see that the containers still reach what they need after joining`,
        'Warning',
      );
};

/** The proxy takes what is asked of the servers in resolv.conf, and asks them itself for all that is not in the mesh. */
const resolverCompatible: Check = ({ machine, request: { name } }) => {
  if (!machine) return undefined;
  const { nameservers, services, sources } = machine.resolver;
  const found = services.length > 0 ? `${services.join(' and ')} on ${name}` : `The resolver of ${name}`;
  const fault = (reason: string, message: string) => fails('ResolverCompatible', reason, message, 'Warning');
  if (nameservers.length === 0) {
    return fault(
      'NoNameserver',
      `${name} names no server in /etc/resolv.conf, so names of the mesh do not resolve there; add one`,
    );
  }
  const own = nameservers.filter((server) => isLoopback(server));
  if (services.length > 0 && own.length > 0 && own.length < nameservers.length) {
    return fault(
      'ResolverLoops',
      `${found} is asked beside ${nameservers.filter((server) => !isLoopback(server)).join(', ')}: its own questions to these are captured and come back to it; leave only ${own.join(', ')} in /etc/resolv.conf`,
    );
  }
  if (services.includes('systemd-resolved') && comesFirst(sources, 'resolve', 'dns')) {
    return fault(
      'ResolverBypassed',
      `${found} is asked over its own socket (resolve in /etc/nsswitch.conf), which capture does not see, so names of the mesh do not resolve; put dns before resolve there`,
    );
  }
  return holds('ResolverCompatible', `${found} suits the capture of DNS (${nameservers.join(', ')})`, 'Warning');
};

const isLoopback = (address: string): boolean => /^(127\.|::1$)/.test(address);

function comesFirst(sources: readonly string[], first: string, second: string): boolean {
  const [at, other] = [sources.indexOf(first), sources.indexOf(second)];
  return at !== -1 && (other === -1 || at < other);
}

export const networkChecks: readonly Check[] = [
  portsFree,
  sshPortsKnown,
  noForeignRedirect,
  noOtherRedirects,
  noContainerNetworks,
  resolverCompatible,
];
