/** Who a machine talks to beside the mesh, and who would be cut where its isolation is enforced. */
import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { Neighbours } from '../../activities/ports/mesh-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { EnforceMachine } from '../../api/schemas/verbs.ts';
import type { DecidableInput, PlanInput } from './plan-input.ts';
import { fails, holds } from './verdicts.ts';
import type { Verdict } from './verdicts.ts';

/** What is known before the isolation of a machine changes; `rendered` is the machine as asked for. */
export type ExposureInput = DecidableInput & {
  readonly asked: EnforceMachine;
  readonly neighbours: Neighbours;
};

/** More than these are counted, not named. */
const MOST_NAMED = 20;
/** The proxy's own, which are never captured, or are where captured connections arrive. */
const PROXY_PORTS = [15001, 15006, 15008, 15020, 15021, 15053, 15090];

/** The findings of a change of isolation. */
export function exposureConditions(input: ExposureInput, now: string): Condition[] {
  const { asked, neighbours, machine, request, rendered } = input;
  const id = `${request.namespace}/${request.name}`;
  const isEnforced = asked.mode === 'enforce';
  const verdicts: (Verdict | undefined)[] = [
    runsCaptured(input, id),
    serverFirst(machine, rendered.excludedPorts, id, isEnforced),
    ...(isEnforced
      ? [
          plaintextCallers(machine, neighbours, id, asked.allowPlaintextCallers === true),
          externalDestinations(machine, id, request.namespace),
          isolationOneSided(neighbours, request.namespace),
        ]
      : []),
  ];
  return verdicts.flatMap((verdict) => (verdict ? [{ ...verdict, lastTransitionTime: now }] : []));
}

/** Findings that name what is there are true when it is there; those end the operation as well where they are critical. */
export function isRefused({ type, status, category }: Condition): boolean {
  return category === 'Critical' && (type === 'PlaintextCallers' ? status === 'True' : status !== 'True');
}

function runsCaptured({ machine }: PlanInput, id: string): Verdict | undefined {
  if (!machine) return undefined;
  const { unit, isCaptured, proxy } = machine;
  return unit.activeState === 'active' && isCaptured && proxy.ready
    ? holds('Captured', `The proxy of ${id} is ready and takes its traffic`)
    : fails(
        'Captured',
        'NotCaptured',
        `The proxy of ${id} does not take its traffic now (unit ${unit.activeState}); onboard ${id} again, which repairs it, or undrain it`,
      );
}

/**
 * Callers whose address belongs to no proxy of the mesh cannot speak mTLS to it. Where the proxy counts, and counted no plaintext,
 * their addresses were translated on the way.
 */
function plaintextCallers(
  machine: MachineFacts,
  { proxies }: Neighbours,
  id: string,
  isAllowed: boolean,
): Verdict | undefined {
  const named = callersBeside(machine, { proxies });
  const { plaintextServed } = machine.proxy;
  if (plaintextServed === 0) return undefined;
  if (named.length === 0) {
    return plaintextServed === undefined || machine.isEnforced ? undefined : servedBefore(plaintextServed, id);
  }
  const cure = machine.isEnforced
    ? 'they are refused already'
    : isAllowed
      ? 'they are cut, as asked'
      : 'bring them into the mesh or have them call another way, then repeat; with allowPlaintextCallers they are cut';
  return {
    type: 'PlaintextCallers',
    status: 'True',
    category: isAllowed || machine.isEnforced ? 'Warning' : 'Critical',
    reason: 'CallersOutsideMesh',
    message: `Not in the mesh, and called ${id} within the last minutes: ${listed(named)}; ${cure}`,
  };
}

/** Addresses, with the port where it is known, that called the machine within the last minutes and belong to no proxy of the mesh. */
export function callersBeside(machine: MachineFacts, { proxies }: Pick<Neighbours, 'proxies'>): readonly string[] {
  const members = new Set([...proxies.flatMap(({ addresses }) => addresses), ...machine.addresses]);
  const callers = inbound(machine).filter(({ from }) => !members.has(from));
  return [...new Set(callers.map(({ from, port }) => (port === undefined ? from : `${from} to port ${port}`)))];
}

const servedBefore = (count: number, id: string): Verdict => ({
  type: 'PlaintextCallers',
  status: 'True',
  category: 'Warning',
  reason: 'PlaintextServed',
  message: `${id} took ${count} requests and connections in plaintext since its proxy started; nobody outside the mesh called within the last minutes, so they came from its members, past the machine's Services, or come seldom`,
});

/** By connection tracking, where the kernel shows it; else who is connected now, of whom the port that was called is not known. */
function inbound(machine: MachineFacts): { from: string; port?: number }[] {
  const open = [...machine.sshdPorts, ...machine.excludedPorts];
  const seen = machine.flows.filter(({ direction }) => direction === 'inbound');
  const flows = seen.map(({ local, remote }) => ({ from: remote, port: portOf(local) }));
  const isCapturedPort = ({ port }: { port: number }): boolean => !open.includes(port) && !PROXY_PORTS.includes(port);
  if (machine.flows.length > 0) return flows.filter(isCapturedPort);
  return machine.connections
    .filter(({ direction, local }) => direction === 'inbound' && portOf(local) === 15006)
    .map(({ remote }) => ({ from: remote }));
}

function externalDestinations({ proxy }: MachineFacts, id: string, namespace: string): Verdict | undefined {
  const named = proxy.passthrough ?? [];
  if (named.length === 0) return undefined;
  return {
    type: 'ExternalDestinations',
    status: 'True',
    category: 'Warning',
    reason: 'DestinationsUndeclared',
    message: `${id} calls ${listed(named)}, which no Service or ServiceEntry of namespace ${namespace} declares; enforced, it does not reach them: create a ServiceEntry in ${namespace} for each that it needs`,
  };
}

/** A port where the server speaks first: listed with what keeps it out. */
function serverFirst(
  machine: MachineFacts,
  excluded: readonly number[],
  id: string,
  isEnforced: boolean,
): Verdict | undefined {
  const ports = [...new Set([...machine.serverFirstPorts, ...excluded])].sort((a, b) => a - b);
  if (ports.length === 0) return undefined;
  const out = ports.filter((port) => excluded.includes(port));
  const message = isEnforced
    ? out.length === 0
      ? `On ${id} the server speaks first on ${listed(ports)}, declared as TCP and captured`
      : `On ${id} the server speaks first on ${listed(out)}: not captured, and so open to everybody, until a Service or the WorkloadGroup declares it under a name that begins with tcp- and enforce is asked again`
    : `On ${id} the server speaks first on ${listed(ports)}: not captured, since a plaintext client of it would wait for ever`;
  return {
    type: 'ServerFirstPorts',
    status: 'True',
    category: isEnforced && out.length > 0 ? 'Warning' : 'Advisory',
    reason: out.length > 0 ? 'PortsExcluded' : 'PortsCaptured',
    message,
  };
}

/** Policy is real at the destination alone: a namespace without one takes calls of whoever holds the machine's keys. */
function isolationOneSided({ proxies, policies, rootNamespace }: Neighbours, own: string): Verdict | undefined {
  const guarded = new Set(policies.filter(({ isOfAll }) => isOfAll).map(({ namespace }) => namespace));
  if (guarded.has(rootNamespace)) return undefined;
  const namespaces = new Set(proxies.map(({ proxy }) => proxy.slice(proxy.lastIndexOf('.') + 1)));
  const open = [...namespaces].filter((name) => name !== own && name !== rootNamespace && !guarded.has(name)).sort();
  const [first] = open;
  if (first === undefined) return undefined;
  return {
    type: 'IsolationOneSided',
    status: 'True',
    category: 'Advisory',
    reason: 'NamespacesWithoutPolicy',
    message: `Pods of ${listed(open)} take calls of every namespace, so root on a machine of ${own} reaches them with its keys; their owner can apply, e.g. for ${first}: ${ownNamespaceOnly(first)}`,
  };
}

/** YAML in one line, since conditions are. */
const ownNamespaceOnly = (namespace: string): string =>
  `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: own-namespace-only, namespace: ${namespace}}, spec: {action: ALLOW, rules: [{from: [{source: {namespaces: [${namespace}]}}]}]}}`;

const portOf = (endpoint: string): number => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));

function listed(values: readonly (string | number)[]): string {
  const more = values.length - MOST_NAMED;
  return `${values.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
