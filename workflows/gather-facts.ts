/**
 * What an onboarding is decided on, and the order in which it is read: cluster and machine, then the machine's rendered files and
 * its package. Knows nothing of who reads: workflows do it by activities, `meshlift check` by itself. What cannot be read becomes
 * a finding, not an end.
 */
import type { RenderMachineResult } from '../activities/cluster.ts';
import type { ClusterFacts, ClusterQuery, FoundWorkloadEntry, KnownMachine } from '../activities/ports/cluster-port.ts';
import type { MachineFacts, Probes } from '../activities/ports/host-port.ts';
import type { Host, OnboardMachine } from '../api/schemas/machine.ts';
import { isVersion } from './plan/bootstrap-plan.ts';
import { gatewayTargets } from './plan/gateway-targets.ts';
import { pinHostKey } from './plan/machine-state.ts';
import type { FactFailure, PlanInput } from './plan/plan-input.ts';
import type { HostOfMachine } from './plan/same-host.ts';

/** What was read, or why it was not. */
export type Read<T> = Promise<{ readonly value?: T; readonly failure?: FactFailure }>;

export interface FactReads {
  readonly cluster: (query: ClusterQuery) => Read<ClusterFacts>;
  readonly sharing: (host: HostOfMachine) => Read<readonly KnownMachine[]>;
  readonly hostKey: (host: Host) => Read<string>;
  readonly machine: (host: Host, probes: Probes) => Read<MachineFacts>;
  readonly render: (input: {
    request: OnboardMachine;
    cluster: ClusterFacts;
    machine: MachineFacts;
  }) => Read<RenderMachineResult>;
  readonly findPackage: (wanted: { version: string; format: 'deb' | 'rpm'; architecture: string }) => Read<unknown>;
  readonly entry: (query: {
    namespace: string;
    workloadGroup: string;
    address: string;
  }) => Read<FoundWorkloadEntry | undefined>;
}

export interface Gathered {
  readonly input: PlanInput;
  /** The key that was trusted on first use, to be pinned from now on. */
  readonly pinnedHostKey?: string;
}

/** Everything an onboarding needs. The machine is asked last, since it is also asked whether it reaches the cluster's gateway. */
export async function gatherFacts(reads: FactReads, request: OnboardMachine, isMember: boolean): Promise<Gathered> {
  const reading = reads.cluster(queryOf(request));
  // A member's proxy takes every connection itself, so it would say nothing of the gateway.
  const probes = async (): Promise<Probes> => ({
    serverFirst: true,
    targets: isMember ? [] : gatewayTargets((await reading).value?.gateway),
  });
  const [cluster, machine] = await Promise.all([reading, inspect(reads, request.host, probes)]);
  const gathered = joined(request, isMember, cluster, machine);
  return { ...gathered, input: await withRendered(reads, gathered.input) };
}

/** Cluster and machine, read side by side. */
export async function gatherBothSides(reads: FactReads, request: OnboardMachine, isMember: boolean): Promise<Gathered> {
  const [cluster, machine] = await Promise.all([
    reads.cluster(queryOf(request)),
    inspect(reads, request.host, () => Promise.resolve({})),
  ]);
  return joined(request, isMember, cluster, machine);
}

function joined(
  request: OnboardMachine,
  isMember: boolean,
  cluster: Awaited<Read<ClusterFacts>>,
  machine: Awaited<ReturnType<typeof inspect>>,
): Gathered {
  return {
    input: {
      request: machine.value ? { ...request, host: machine.value.host } : request,
      isMember,
      ...(cluster.value ? { cluster: cluster.value } : {}),
      ...(machine.value ? { machine: machine.value.facts } : {}),
      failures: { ...under('cluster', cluster.failure), ...under('machine', machine.failure) },
    },
    ...(machine.value?.pinnedHostKey === undefined ? {} : { pinnedHostKey: machine.value.pinnedHostKey }),
  };
}

async function withRendered(reads: FactReads, input: PlanInput): Promise<PlanInput> {
  const { request, cluster, machine } = input;
  if (!cluster?.namespaceExists || !cluster.revision || !machine) return input;
  const { version } = cluster.revision;
  const render = async () => {
    const rendered = await reads.render({ request, cluster, machine });
    const { namespace, workloadGroup } = request;
    const entry = rendered.value && (await reads.entry({ namespace, workloadGroup, address: rendered.value.address }));
    return { rendered, entry };
  };
  const { namespace, name, host } = request;
  const [sharing, { rendered, entry }, found] = await Promise.all([
    reads.sharing({ namespace, name, host, hostKey: machine.hostKeyFingerprint }),
    render(),
    findPackage(reads, machine, version),
  ]);
  return {
    ...input,
    ...(sharing.value ? { sharing: sharing.value } : {}),
    ...(rendered.value ? { rendered: rendered.value } : {}),
    ...(entry?.value ? { entry: entry.value } : {}),
    failures: {
      ...under('cluster', sharing.failure),
      ...input.failures,
      ...under('render', rendered.failure),
      ...under('entry', entry?.failure),
      ...under('package', found.failure),
    },
  };
}

function queryOf({ namespace, name, workloadGroup, workload, revision }: OnboardMachine): ClusterQuery {
  return {
    namespace,
    machine: name,
    workloadGroup,
    ...(workload?.serviceAccount === undefined ? {} : { serviceAccount: workload.serviceAccount }),
    ...(revision === undefined ? {} : { revision }),
  };
}

/** One exec on the machine. A key that is trusted on first use is read first and pinned for all that follows. */
async function inspect(reads: FactReads, host: Host, probes: () => Promise<Probes>) {
  const key: Awaited<Read<string>> = 'trustOnFirstUse' in host.hostKey ? await reads.hostKey(host) : {};
  if (key.failure) return { failure: key.failure };
  const pinned = pinHostKey(host, key.value);
  const { value: facts, failure } = await reads.machine(pinned, await probes());
  if (!facts) return failure ? { failure } : {};
  return { value: { facts, host: pinned, ...(key.value === undefined ? {} : { pinnedHostKey: key.value }) } };
}

/** An installed package needs no source. */
async function findPackage(
  reads: FactReads,
  machine: MachineFacts,
  version: string,
): Promise<{ readonly failure?: FactFailure }> {
  const { packageFormat: format, architecture, installedVersion } = machine;
  if (format === 'unknown' || isVersion(installedVersion, version)) return {};
  return reads.findPackage({ version, format, architecture });
}

function under<K extends string>(key: K, failure: FactFailure | undefined): Partial<Record<K, FactFailure>> {
  return failure ? ({ [key]: failure } as Record<K, FactFailure>) : {};
}
