/** Who talks to the machine and to whom it talks, as far as that can be seen, and whether it reaches its control plane. */
import { portAtLocalhost } from '../../activities/render/probe.ts';
import { machineGroup } from '../../activities/render/workload-group.ts';
import type { PlanInput } from './plan-input.ts';
import { fails, holds, listed, unknown } from './verdicts.ts';
import type { Check } from './verdicts.ts';

/** Only what is connected now is known: callers that come now and then are not. */
const inboundConnections: Check = (input) => {
  const {
    machine,
    request: { name },
  } = input;
  const found = connectionsOf(input, 'inbound');
  if (!machine || !found) return undefined;
  const callers = found.map(({ local, remote }) => `${remote} to port ${portOf(local)}`);
  return callers.length === 0
    ? holds('InboundConnections', `Nobody is connected to ${name} now`, 'Advisory')
    : holds(
        'InboundConnections',
        `Connected to ${name} now, and served in plaintext as before until it is enforced: ${listed(callers)}`,
        'Advisory',
      );
};

const outboundConnections: Check = (input) => {
  const {
    machine,
    request: { name },
  } = input;
  const found = connectionsOf(input, 'outbound');
  if (!machine || !found) return undefined;
  const called = found.map(({ remote, process }) => (process === undefined ? remote : `${remote} (${process})`));
  return called.length === 0
    ? holds('OutboundConnections', `${name} is connected to nobody now`, 'Advisory')
    : holds(
        'OutboundConnections',
        `${name} is connected to ${listed(called)} now, and still reaches them after joining; to enforce, declare those outside of the mesh as ServiceEntries`,
        'Advisory',
      );
};

/** A plaintext client of such a port would wait for the proxy, and the proxy for the client. */
const serverFirstPorts: Check = ({ machine, request: { name } }) => {
  if (!machine || machine.serverFirstPorts.length === 0) return undefined;
  const named = machine.serverFirstPorts.map((port) => {
    const process = machine.listening.find((listener) => listener.port === port)?.process;
    return process === undefined ? String(port) : `${port} (${process})`;
  });
  return holds(
    'ServerFirstPorts',
    `On ${name} the server speaks first on ${listed(named)}: kept from capture until the machine is enforced, then to be declared as TCP`,
    'Advisory',
  );
};

/** A tcpSocket or grpc probe goes to localhost; an application that listens on another address alone never answers it. */
const probeAnswered: Check = ({ machine, cluster, request }) => {
  if (!machine || !cluster) return undefined;
  const port = portAtLocalhost(machineGroup(request, cluster.workloadGroup).spec.probe);
  const addresses = machine.listening.filter((each) => each.port === port).map(({ address }) => address);
  if (port === undefined || addresses.length === 0) return undefined;
  const { namespace, workloadGroup, name } = request;
  const probed = `localhost:${port} on ${name}, which the probe of WorkloadGroup ${namespace}/${workloadGroup} asks`;
  return addresses.some((address) => LOCAL.test(address))
    ? holds('ProbeAnswered', `Something listens at ${probed}`)
    : fails(
        'ProbeAnswered',
        'ProbeUnanswered',
        `Nothing listens at ${probed}, only at ${listed(addresses)}; let the application listen on localhost too, or give the group an httpGet or exec probe`,
        'Warning',
      );
};

/** Listeners that localhost reaches, as ss prints them. */
const LOCAL = /^(\*|0\.0\.0\.0|127\..*|\[?::\]?|\[?::1\]?)$/;

const gatewayReachable: Check = ({ machine, request: { name } }) => {
  const targets = machine?.targets ?? [];
  if (targets.length === 0) return undefined;
  const missed = targets.filter(({ isReachable }) => !isReachable).map(({ target }) => target);
  return missed.length === 0
    ? holds('GatewayReachable', `${name} reaches istiod's gateway at ${targets.map(({ target }) => target).join(', ')}`)
    : fails(
        'GatewayReachable',
        'GatewayUnreachable',
        `${name} cannot connect to ${missed.join(', ')}, where istiod's gateway is; open that way in the firewalls between, and see that the gateway's pods run`,
        missed.length === targets.length ? 'Critical' : 'Warning',
      );
};

/** Two machines of one address would take turns as one WorkloadEntry. */
const addressUnique: Check = ({ machine, entry, rendered, isMember, failures, request }) => {
  if (!machine || !rendered) return undefined;
  const { namespace, workloadGroup, name } = request;
  if (failures.entry) return unknown('AddressUnique', failures.entry.type, failures.entry.message);
  const owner = entry?.labels['meshlift.dev/machine'];
  if (!entry || owner === name || (isMember && owner === undefined)) {
    return holds('AddressUnique', `No other machine of ${namespace}/${workloadGroup} has ${rendered.address}`);
  }
  return fails(
    'AddressUnique',
    'AddressTaken',
    `WorkloadEntry ${namespace}/${entry.name} has the address ${rendered.address} already, for ${owner === undefined ? 'a machine that Meshlift did not onboard' : `machine ${owner}`}; give ${name} another in addressing.ip, or take that one out first`,
  );
};

function connectionsOf(input: PlanInput, direction: 'inbound' | 'outbound') {
  // A member's connections run through its proxy, whose own counters tell more.
  if (!input.machine || input.machine.isCaptured) return undefined;
  return input.machine.connections.filter((each) => each.direction === direction);
}

export const portOf = (endpoint: string): number => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));

export const trafficChecks: readonly Check[] = [
  inboundConnections,
  outboundConnections,
  serverFirstPorts,
  probeAnswered,
  gatewayReachable,
  addressUnique,
];
