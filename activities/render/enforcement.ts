/** How a machine's isolation stands: which mode it is to be in, and which of its ports stay out of the proxy's hands. */
import type { Enforcement } from '../../api/schemas/verbs.ts';
import type { ClusterFacts, FoundService } from '../ports/cluster-port.ts';
import type { MachineFacts } from '../ports/host-port.ts';
import { machineObjectName } from './names.ts';
import type { Group } from './workload-group.ts';

/** There where the machine is enforced; it holds with all of Meshlift off. */
export const enforceFlagPath = '/var/lib/meshlift/enforce';
/** One port a line, read by the capture script. */
export const excludePortsPath = '/var/lib/meshlift/exclude-ports';

/** What is read of a machine; absent: nothing of Meshlift stands there yet. */
export type FoundEnforcement = Partial<
  Pick<MachineFacts, 'isEnforced' | 'isCaptured' | 'excludedPorts' | 'serverFirstPorts'>
>;

/** As it stands on either side: only a request changes it, never a repair, nor a new image of the machine. */
export function standingEnforcement(
  machine: string,
  { isEnforced = false }: FoundEnforcement,
  { objects }: Pick<ClusterFacts, 'objects'>,
): Enforcement {
  const isStrict = objects.some(
    ({ kind, metadata, spec }) =>
      kind === 'PeerAuthentication' && metadata.name === machineObjectName(machine) && modeOf(spec) === 'STRICT',
  );
  return isEnforced || isStrict ? 'enforce' : 'observe';
}

const modeOf = (spec: unknown): unknown =>
  (spec as { readonly mtls?: { readonly mode?: unknown } } | undefined)?.mtls?.mode;

/**
 * A port where the server speaks first stays out while plaintext is taken: the proxy would wait for ever for the client's first byte.
 * Enforced, it comes in where the group, or a Service that selects it, declares it as TCP. What a running proxy captures is changed by a request alone.
 */
export function portsToExclude(
  mode: Enforcement,
  isAsked: boolean,
  { isCaptured = false, excludedPorts = [], serverFirstPorts = [] }: FoundEnforcement,
  group: Pick<Group, 'spec' | 'labels'>,
  services: readonly FoundService[] = [],
): readonly number[] {
  if (!isAsked && isCaptured) return excludedPorts;
  const declared = mode === 'enforce' ? tcpPorts(group, services) : [];
  const excluded = new Set([...excludedPorts, ...serverFirstPorts].filter((port) => !declared.includes(port)));
  return [...excluded].sort((a, b) => a - b);
}

function tcpPorts({ spec, labels }: Pick<Group, 'spec' | 'labels'>, services: readonly FoundService[]): number[] {
  const named = spec.template?.ports ?? {};
  const ofGroup = Object.entries(named).flatMap(([name, port]) => (isTcp(name) ? [port] : []));
  const selecting = services.filter(({ selector }) =>
    Object.entries(selector).every(([key, value]) => labels[key] === value),
  );
  const ofServices = selecting
    .flatMap(({ ports }) => ports)
    .filter(({ name = '', appProtocol = name }) => isTcp(appProtocol))
    .map(
      ({ name = '', port, targetPort = port }) =>
        named[name] ?? (typeof targetPort === 'number' ? targetPort : named[targetPort]),
    );
  return [...ofGroup, ...ofServices.filter((port) => port !== undefined)];
}

/** Istio takes a port's protocol from its name, or from the Service's `appProtocol`. */
const isTcp = (protocol: string): boolean => /^(tcp|tls|mysql|mongo|redis)(-|$)/.test(protocol);
