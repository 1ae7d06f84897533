/** Gathers what an onboarding is decided on by activities, which wait for `readableMs` on what does not answer. */
import { isCancellation, TemporalFailure } from '@temporalio/workflow';

import type { OnboardMachine } from '../api/schemas/machine.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import { explainFailure } from './explain-failure.ts';
import { gatherBothSides, gatherFacts } from './gather-facts.ts';
import type { FactReads, Gathered, Read } from './gather-facts.ts';
import { lookAgain } from './look-again.ts';
import type { Waits } from './messages.ts';
import { inspectedPaths } from './plan/inspected-paths.ts';
import type { PlanInput } from './plan/plan-input.ts';

/** What an onboarding needs: both sides, then the machine's rendered files and its package. */
export async function readFacts(request: OnboardMachine, isMember: boolean, waits: Required<Waits>): Promise<Gathered> {
  return await gatherFacts(readsOf(request, waits), request, isMember);
}

/** Cluster and machine, read side by side. */
export async function readBothSides(
  request: OnboardMachine,
  isMember: boolean,
  waits: Required<Waits>,
): Promise<Gathered> {
  return await gatherBothSides(readsOf(request, waits), request, isMember);
}

/** The cluster alone, where the machine is not to be asked. */
export async function readClusterSide(request: OnboardMachine, waits: Required<Waits>): Promise<PlanInput> {
  const { namespace, name, workloadGroup } = request;
  const { value, failure } = await readsOf(request, waits).cluster({ namespace, machine: name, workloadGroup });
  return {
    request,
    isMember: true,
    ...(value ? { cluster: value } : {}),
    failures: failure ? { cluster: failure } : {},
  };
}

function readsOf({ namespace, name }: OnboardMachine, { readableMs }: Required<Waits>): FactReads {
  const machine = `${namespace}/${name}`;
  const fromCluster = (summary: string) => readCluster(summary, readableMs);
  const fromHost = (summary: string) => readHost(summary, readableMs);
  const attempt = async <T>(read: () => Promise<T>): Read<T> => {
    try {
      return { value: await lookAgain(readableMs, read) };
    } catch (error) {
      if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
      return { failure: explainFailure(error) };
    }
  };
  return {
    cluster: (query) => attempt(() => fromCluster(`Read what ${machine} depends on`).readClusterFacts(query)),
    sharing: (host) =>
      attempt(() => fromCluster(`Look for other machines on the host of ${machine}`).findMachinesOnHost(host)),
    hostKey: (host) =>
      attempt(() =>
        fromHost(`Read the host key of ${machine}, to trust it from now on`).readHostKey({ namespace, name, host }),
      ),
    machine: (host, probes) =>
      attempt(() =>
        fromHost(`Inspect ${machine}`).inspectMachine({ namespace, name, host, paths: inspectedPaths, probes }),
      ),
    render: (input) => attempt(() => fromCluster(`Render the files of ${machine}`).renderMachine(input)),
    findPackage: (wanted) => {
      const { version, format, architecture } = wanted;
      const summary = `Find istio-sidecar ${version} (${format}, ${architecture})`;
      return attempt(() => fromHost(summary).findPackage(wanted));
    },
    entry: (query) => attempt(() => fromCluster(`See who has the address of ${machine}`).readWorkloadEntry(query)),
  };
}
