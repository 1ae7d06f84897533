/** Gathers what an onboarding is decided on, from both sides at once; what cannot be read becomes a finding, not an end. */
import { isCancellation, TemporalFailure } from '@temporalio/workflow';

import type { ClusterQuery } from '../activities/ports/cluster-port.ts';
import type { MachineFacts } from '../activities/ports/host-port.ts';
import type { Host, OnboardMachine } from '../api/schemas/machine.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import { explainFailure } from './explain-failure.ts';
import { lookAgain } from './look-again.ts';
import type { Waits } from './messages.ts';
import { isVersion } from './plan/bootstrap-plan.ts';
import { inspectedPaths } from './plan/inspected-paths.ts';
import { pinHostKey } from './plan/machine-state.ts';
import type { FactFailure, PlanInput } from './plan/plan-input.ts';

interface Gathered {
  readonly input: PlanInput;
  /** The key that was trusted on first use, to be pinned from now on. */
  readonly pinnedHostKey?: string;
}

/** What an onboarding needs: both sides, then the machine's rendered files and its package. */
export async function readFacts(request: OnboardMachine, isMember: boolean, waits: Required<Waits>): Promise<Gathered> {
  const gathered = await readBothSides(request, isMember, waits);
  const { input } = gathered;
  const { cluster, machine } = input;
  if (!cluster?.namespaceExists || !cluster.revision || !machine) return gathered;
  const { version } = cluster.revision;
  const summary = `Render the files of ${request.namespace}/${request.name}`;
  const { readableMs } = waits;
  const [rendered, found] = await Promise.all([
    attempt(readableMs, () =>
      readCluster(summary, readableMs).renderMachine({ request: input.request, cluster, machine }),
    ),
    attempt(readableMs, () => findPackage(machine, version, readableMs)),
  ]);
  return {
    ...gathered,
    input: {
      ...input,
      ...(rendered.value ? { rendered: rendered.value } : {}),
      failures: { ...input.failures, ...under('render', rendered.failure), ...under('package', found.failure) },
    },
  };
}

/** Cluster and machine, read side by side. */
export async function readBothSides(
  request: OnboardMachine,
  isMember: boolean,
  waits: Required<Waits>,
): Promise<Gathered> {
  const id = `${request.namespace}/${request.name}`;
  const { readableMs } = waits;
  const [cluster, machine] = await Promise.all([
    attempt(readableMs, () => readCluster(`Read what ${id} depends on`, readableMs).readClusterFacts(queryOf(request))),
    inspect(request.host, id, readableMs),
  ]);
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
async function inspect(host: Host, name: string, readableMs: number) {
  const trustsFirst = 'trustOnFirstUse' in host.hostKey;
  const key = trustsFirst
    ? await attempt(readableMs, () =>
        readHost(`Read the host key of ${name}, to trust it from now on`, readableMs).readHostKey({ host }),
      )
    : {};
  if (key.failure) return { failure: key.failure };
  const pinned = pinHostKey(host, key.value);
  const { value: facts, failure } = await attempt(readableMs, () =>
    readHost(`Inspect ${name}`, readableMs).inspectMachine({ host: pinned, paths: inspectedPaths }),
  );
  if (!facts) return failure ? { failure } : {};
  return { value: { facts, host: pinned, ...(key.value === undefined ? {} : { pinnedHostKey: key.value }) } };
}

/** An installed package needs no source. */
async function findPackage(machine: MachineFacts, version: string, readableMs: number): Promise<unknown> {
  const { packageFormat: format, architecture, installedVersion } = machine;
  if (format === 'unknown' || isVersion(installedVersion, version)) return undefined;
  const summary = `Find istio-sidecar ${version} (${format}, ${architecture})`;
  return readHost(summary, readableMs).findPackage({ version, format, architecture });
}

async function attempt<T>(readableMs: number, read: () => Promise<T>): Promise<{ value?: T; failure?: FactFailure }> {
  try {
    return { value: await lookAgain(readableMs, read) };
  } catch (error) {
    if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
    return { failure: explainFailure(error) };
  }
}

function under<K extends string>(key: K, failure: FactFailure | undefined): Partial<Record<K, FactFailure>> {
  return failure ? ({ [key]: failure } as Record<K, FactFailure>) : {};
}
