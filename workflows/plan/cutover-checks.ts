/** The preflight of a migration: every finding at once, and what distinguishes the endpoints of both sides. */
import type { FoundWorkloadGroup } from '../../activities/ports/cluster-port.ts';
import type { CutoverFacts, FoundEntry } from '../../activities/ports/cutover-port.ts';
import type { Condition } from '../../api/schemas/common.ts';
import type { Machine } from '../../api/schemas/machine.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import { drainingLabel } from './drain-value.ts';
import { faultOf, queriesOf } from './metric-queries.ts';
import { deploymentOf } from './migration-target.ts';
import type { FactFailure } from './plan-input.ts';
import { roomChecks } from './room-checks.ts';
import { routeChecks } from './route-checks.ts';
import { selectorChecks } from './selector-checks.ts';
import { sideChecks } from './side-policies.ts';
import { targetChecks } from './target-checks.ts';
import { fails, holds, listed, type Verdict } from './verdicts.ts';

export interface CutoverInput {
  readonly request: CreateMigration;
  readonly facts: CutoverFacts;
  /** Machines of the group that Meshlift looks after. */
  readonly machines: readonly Pick<Machine, 'name' | 'phase' | 'namespace'>[];
  /** Who called each of them past the mesh; absent where nobody could be asked. */
  readonly callers?: readonly MachineCallers[];
  /** Why a query of the analysis cannot be asked; absent where all can, or there is none. */
  readonly queryFailure?: FactFailure;
}

export interface MachineCallers {
  readonly machine: string;
  /** Absent where the machine did not answer. */
  readonly from?: readonly string[];
}

export type CutoverCheck = (input: CutoverInput) => Verdict | undefined;
type Labels = Readonly<Record<string, string>>;

/** What a migration tells endpoints apart by; undefined where it cannot. */
export interface Sides {
  readonly machineLabels: Labels;
  readonly podLabels: Labels;
}

export function sidesOf({ entries, deployment }: CutoverFacts): Sides | undefined {
  if (deployment === undefined || entries.length === 0) return undefined;
  const machineLabels = ownLabels(sharedLabels(entries), deployment.labels);
  const podLabels = Object.fromEntries(
    Object.entries(deployment.labels).filter(([key, value]) => entries.every(({ labels }) => labels[key] !== value)),
  );
  const isEmpty = (labels: Labels): boolean => Object.keys(labels).length === 0;
  return isEmpty(machineLabels) || isEmpty(podLabels) ? undefined : { machineLabels, podLabels };
}

/** Every entry carries them with one value. */
function sharedLabels([first, ...rest]: readonly FoundEntry[]): Labels {
  return Object.fromEntries(
    Object.entries(first?.labels ?? {}).filter(([key, value]) => rest.every(({ labels }) => labels[key] === value)),
  );
}

/** Labels that istiod or Kubernetes set by where an endpoint is say nothing of whose it is. */
const placeLabels = /^(topology\.|kubernetes\.io\/hostname$|security\.istio\.io\/|service\.istio\.io\/|istio\.io\/)/;

const ownLabels = (labels: Labels, others: Labels): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([key, value]) => others[key] !== value && !placeLabels.test(key)));

interface Port {
  readonly name?: string;
  readonly appProtocol?: string;
}

function declaredOf({ name = '', appProtocol }: Port): string {
  const [declared = ''] = (appProtocol ?? name)
    .toLowerCase()
    .replace(/^kubernetes\.io\//, '')
    .split('-');
  return declared;
}

export const speaksGrpc = (port: Port): boolean => declaredOf(port) === 'grpc';

/** What each port of the Service speaks, where that is declared. */
export function protocolOf(port: Port): 'http' | 'tcp' | undefined {
  const declared = declaredOf(port);
  if (/^(http|http2|grpc|h2c|grpcweb)$/.test(declared)) return 'http';
  return /^(tcp|tls|https|mongo|mysql|redis)$/.test(declared) ? 'tcp' : undefined;
}

const serviceExists: CutoverCheck = ({ request: { namespace, service }, facts }) => {
  const type = 'ServiceFound';
  const place = `Service ${namespace}/${service}`;
  if (facts.service === undefined)
    return fails(type, 'ServiceMissing', `${place} does not exist; create it, or name another`);
  if (facts.service.isHeadless) {
    return fails(
      type,
      'ServiceHeadless',
      `${place} is headless: clients choose its endpoints by themselves, and no weight moves them`,
    );
  }
  if (facts.service.isExternal === true) {
    return fails(
      type,
      'ServiceExternal',
      `${place} only gives another host a name; name the Service that machines are of`,
    );
  }
  if (Object.keys(facts.service.selector).length === 0) {
    return fails(
      type,
      'ServiceSelectsNothing',
      `${place} has no selector: its endpoints are written by hand; give it one that selects machines and pods`,
    );
  }
  return holds(type, `${place} selects machines and pods`);
};

/** istiod gives it to clients. */
export const servesClients = ({ isHealthy, labels }: FoundEntry): boolean =>
  isHealthy !== false && (labels[drainingLabel] ?? '') === '';

/** Why nobody would take traffic on machines of the group; undefined where one does. */
export function nobodyServes(
  { namespace, workloadGroup }: Pick<CreateMigration, 'namespace' | 'workloadGroup'>,
  entries: readonly FoundEntry[],
): string | undefined {
  if (entries.some(servesClients)) return undefined;
  const why = entries.length === 0 ? 'none is registered' : 'each is drained or unhealthy';
  return `No machine of WorkloadGroup ${namespace}/${workloadGroup} serves (${why})`;
}

const groupExists: CutoverCheck = ({ request: { namespace, workloadGroup }, facts }) => {
  const type = 'MachinesFound';
  const place = `WorkloadGroup ${namespace}/${workloadGroup}`;
  if (facts.group === undefined)
    return fails(type, 'WorkloadGroupMissing', `${place} does not exist; name the group whose machines serve`);
  const serving = facts.entries.filter(servesClients);
  if (serving.length === 0) {
    return fails(type, 'NoMachineServes', `No machine of ${place} is in the mesh and healthy; onboard them first`);
  }
  return holds(type, `${serving.length} machines of ${place} serve`);
};

const machinesAreMembers: CutoverCheck = ({ request: { namespace, workloadGroup }, facts: { entries }, machines }) => {
  if (entries.length === 0) return undefined;
  const type = 'MachinesLookedAfter';
  const labelled = entries.flatMap(({ labels, name }) => labels['meshlift.dev/machine'] ?? name);
  const members = machines.filter(({ phase }) => phase === 'InMesh').map(({ name }) => name);
  const others = labelled.filter((name) => !members.includes(name));
  if (others.length > 0) {
    return fails(
      type,
      'MachineNotInMesh',
      `${listed(others)} of WorkloadGroup ${namespace}/${workloadGroup} take traffic and are no machines in phase InMesh: onboard or undrain them, or remove their WorkloadEntries`,
    );
  }
  return holds(type, `Meshlift looks after ${listed(members)}`);
};

const serviceSelectsBoth: CutoverCheck = ({ request: { service, target, workloadGroup }, facts }) => {
  const { deployment, entries } = facts;
  if (facts.service === undefined || deployment === undefined || entries.length === 0) return undefined;
  const type = 'ServiceSelectsBoth';
  const { selector } = facts.service;
  const selects = (labels: Labels): boolean => Object.entries(selector).every(([key, value]) => labels[key] === value);
  const wanted = JSON.stringify(selector);
  if (!selects(deployment.labels)) {
    return fails(
      type,
      'PodsNotSelected',
      `Service ${service} selects ${wanted}, and pods of Deployment ${deploymentOf(target)} do not carry that; add it to their template`,
    );
  }
  const others = entries.filter(({ labels }) => !selects(labels));
  if (others.length > 0) {
    return fails(
      type,
      'MachinesNotSelected',
      `Service ${service} selects ${wanted}, and ${listed(others.map(({ name }) => name))} of WorkloadGroup ${workloadGroup} do not carry that`,
    );
  }
  return holds(type, `Service ${service} selects both`);
};

const othersSelectPods: CutoverCheck = ({ request: { service, target }, facts: { deployment, otherServices } }) => {
  if (deployment === undefined) return undefined;
  const type = 'OneServiceSelects';
  const selecting = otherServices.filter(({ selector }) =>
    Object.entries(selector).every(([key, value]) => deployment.labels[key] === value),
  );
  if (selecting.length === 0)
    return holds(type, `Service ${service} alone selects pods of ${deploymentOf(target)}`, 'Warning');
  const named = listed(selecting.map(({ name }) => name));
  return fails(
    type,
    'OtherServiceSelects',
    `Services ${named} select pods of Deployment ${deploymentOf(target)} too: their callers reach pods as soon as those are ready, whatever the weights of ${service} say`,
    'Warning',
  );
};

const endpointsDistinguishable: CutoverCheck = ({ request: { target, workloadGroup }, facts }) => {
  if (facts.deployment === undefined || facts.entries.length === 0) return undefined;
  const type = 'EndpointsDistinguishable';
  const sides = sidesOf(facts);
  if (sides === undefined) {
    return fails(
      type,
      'LabelsTheSame',
      `No label tells machines of WorkloadGroup ${workloadGroup} and pods of Deployment ${deploymentOf(target)} apart; give the pods one that the machines do not have, e.g. version: v2`,
    );
  }
  const text = (labels: Labels): string => listed(Object.entries(labels).map(([key, value]) => `${key}=${value}`));
  return holds(type, `Machines by ${text(sides.machineLabels)}, pods by ${text(sides.podLabels)}`);
};

const protocolsDeclared: CutoverCheck = ({ request: { service }, facts }) => {
  if (facts.service === undefined) return undefined;
  const type = 'ProtocolsDeclared';
  const silent = facts.service.ports.filter((port) => protocolOf(port) === undefined);
  if (silent.length > 0) {
    return fails(
      type,
      'ProtocolUnknown',
      `Service ${service} does not say what ports ${listed(silent.map(({ port }) => String(port)))} speak; set appProtocol, or begin their names with http-, grpc- or tcp-`,
    );
  }
  return holds(type, `Service ${service} says what every port speaks`);
};

/** Weights are for those who call the Service through a proxy. */
const callersFollow: CutoverCheck = ({ request: { service }, callers }) => {
  if (callers === undefined) return undefined;
  const type = 'CallersFollow';
  const beside = callers.flatMap(({ machine, from = [] }) => from.map((caller) => `${caller} of ${machine}`));
  if (beside.length > 0) {
    return fails(
      type,
      'CallersOutsideMesh',
      `Not in the mesh, and called machines by their address within the last minutes: ${listed(beside)}; no weight moves them, and proveSilence waits for them: have them call Service ${service} through a gateway`,
      'Warning',
    );
  }
  const unknown = callers.filter(({ from }) => from === undefined).map(({ machine }) => machine);
  if (unknown.length > 0) {
    return fails(type, 'CallersUnknown', `Nobody can say who calls ${listed(unknown)}: they do not answer`, 'Warning');
  }
  return holds(type, 'Every caller of the last minutes is in the mesh', 'Warning');
};

const stepsRise: CutoverCheck = ({ request: { steps, approvals = [] } }) => {
  const type = 'StepsRise';
  const weights = steps.map(({ weight }) => weight);
  if (weights.some((weight, index) => index > 0 && weight <= (weights[index - 1] ?? 0))) {
    return fails(type, 'StepsFall', `The weights ${weights.join(', ')} do not rise; a way back is POST .../rollback`);
  }
  const unknownApprovals = approvals.filter((weight) => !weights.includes(weight));
  if (unknownApprovals.length > 0) {
    return fails(
      type,
      'ApprovalWithoutStep',
      `No step has the weight ${listed(unknownApprovals.map(String))} that is to be approved`,
    );
  }
  return holds(type, `Weights ${weights.join(', ')}`);
};

const atListeners =
  "Where the run begins and where it ends, its route alters the callers' listeners: connections older than Envoy's drain time (45 s by default) are closed there";

const tcpInOneStep: CutoverCheck = ({ request: { steps, service, guard }, facts }) => {
  if (facts.service === undefined) return undefined;
  const ports = facts.service.ports.filter((port) => protocolOf(port) === 'tcp');
  if (ports.length === 0) return undefined;
  const type = 'TcpMovesAtOnce';
  const message = `Ports ${listed(ports.map(({ port }) => String(port)))} of Service ${service} speak TCP: new connections move to pods as a whole at 100%, kept ones stay${guard === 'selector' ? '' : `. ${atListeners}`}`;
  return steps.length > 1 ? fails(type, 'WeightsAreForHttp', message, 'Advisory') : holds(type, message, 'Advisory');
};

const queriesAnswered: CutoverCheck = ({ request, queryFailure }) => {
  const queries = queriesOf(request);
  if (queries.length === 0) return undefined;
  const type = 'QueriesAnswered';
  const faults = queries.flatMap((query) => faultOf(query) ?? []);
  if (faults.length > 0) return fails(type, 'QueryFaulty', faults.join('; '));
  if (queryFailure !== undefined) return fails(type, queryFailure.type, queryFailure.message);
  return holds(type, `Prometheus takes ${listed(queries.map(({ name }) => name))}`);
};

const policy: readonly CutoverCheck[] = [
  serviceExists,
  groupExists,
  machinesAreMembers,
  ...targetChecks,
  ...roomChecks,
  serviceSelectsBoth,
  othersSelectPods,
  endpointsDistinguishable,
  protocolsDeclared,
  ...sideChecks,
  callersFollow,
  ...routeChecks,
  ...selectorChecks,
  stepsRise,
  tcpInOneStep,
  queriesAnswered,
];

export function cutoverConditions(input: CutoverInput, now: string): Condition[] {
  return policy.flatMap((check) => {
    const verdict = check(input);
    return verdict === undefined ? [] : [{ ...verdict, lastTransitionTime: now }];
  });
}

/** Nothing can be judged. */
export function unreadable({ namespace }: CreateMigration, { type, message }: FactFailure, now: string): Condition {
  const cure = type === 'ClusterForbidden' ? `; bind ClusterRole meshlift-migrations in namespace ${namespace}` : '';
  return { ...fails('ClusterReadable', type, `${message}${cure}`), lastTransitionTime: now };
}

/** Where nothing else is asked for, what the group's own probe asks for. */
export function smokePathOf(group: FoundWorkloadGroup | undefined): string {
  const { path } = (group?.spec.probe?.['httpGet'] ?? {}) as { readonly path?: string };
  return path ?? '/';
}
