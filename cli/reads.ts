/** The reads of a gather as this program does them itself: those of the activities, without Temporal around them. */
import { ApplicationFailure } from '@temporalio/common';

import { admitHost } from '../activities/admit-host.ts';
import { clusterActivities } from '../activities/cluster.ts';
import type { Ports } from '../activities/index.ts';
import type { HostPolicy } from '../activities/ports/cluster-port.ts';
import type { LocatedHost, MachineFacts } from '../activities/ports/host-port.ts';
import type { Host } from '../api/schemas/machine.ts';
import type { FactReads, Read } from '../workflows/gather-facts.ts';
import { inspectedPaths } from '../workflows/plan/inspected-paths.ts';
import type { CheckOptions } from './options.ts';

/** The answer comes within two minutes, whatever hangs. */
const DEADLINE_MS = 100_000;

export interface OwnReads {
  readonly reads: FactReads;
  /** Whether HostPolicies could be read, so that the host was judged by them. */
  readonly hasJudgedHost: () => boolean;
}

export function ownReads(ports: Ports, { request: { namespace }, packages }: CheckOptions): OwnReads {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const activities = clusterActivities(ports);
  let isJudged = true;
  const attempt = <T>(what: string, read: () => Promise<T>): Read<T> => attemptUntil(deadline, what, read);
  /** Which Secret Meshlift is going to log in with is not known here, so it is not judged. */
  const readHostPolicies = async (): Promise<readonly HostPolicy[]> =>
    (await ports.cluster.readHostPolicies()).map((policy) => ({ ...policy, credentials: ['*'] }));
  const reach = async (host: Host): Promise<LocatedHost> => {
    try {
      return await admitHost({ ...ports, cluster: { readHostPolicies } }, { namespace, host });
    } catch (error) {
      if (!isForbidden(error)) throw error;
      isJudged = false;
      return await ports.host.locate(host);
    }
  };
  const reads: FactReads = {
    cluster: (query) => attempt('The cluster', () => ports.cluster.readFacts(query)),
    sharing: async (host) => {
      const found = await attempt('The cluster', () => activities.findMachinesOnHost(host));
      // Whoever may not see other namespaces is told nothing of their machines; Meshlift itself sees them.
      return found.failure?.type === 'ClusterForbidden' ? {} : found;
    },
    hostKey: (host) => attempt(host.address, async () => await ports.host.readHostKey(await reach(host), deadline)),
    machine: (host, probes) =>
      attempt(
        host.address,
        async (): Promise<MachineFacts> =>
          await ports.host.inspect(await reach(host), inspectedPaths, deadline, probes),
      ),
    render: (input) => attempt('The rendering', () => activities.renderMachine(input)),
    findPackage: async ({ version, format, architecture }) =>
      packages === undefined
        ? { failure: { type: 'PackageSourceUnset', message: 'Not looked for; name the source with --packages' } }
        : await attempt('The package source', () => ports.packages.find(version, format, architecture, deadline)),
    entry: (query) => attempt('The cluster', () => activities.readWorkloadEntry(query)),
  };
  return { reads, hasJudgedHost: () => isJudged };
}

const isForbidden = (error: unknown): boolean =>
  error instanceof ApplicationFailure && error.type === 'ClusterForbidden';

/** What fails, or does not answer before the deadline, is a finding; anything else is a fault of this program. */
async function attemptUntil<T>(deadline: AbortSignal, what: string, read: () => Promise<T>): Read<T> {
  const message = `${what} did not answer within ${DEADLINE_MS / 1000} s`;
  const { promise, resolve } = Promise.withResolvers<Awaited<Read<T>>>();
  const expire = (): void => {
    resolve({ failure: { type: 'TimedOut', message } });
  };
  if (deadline.aborted) expire();
  deadline.addEventListener('abort', expire, { once: true });
  const reading = read().then(
    (value) => ({ value }),
    (error: unknown) => {
      if (error instanceof ApplicationFailure) {
        return { failure: { type: error.type ?? 'Unknown', message: error.message } };
      }
      if (deadline.aborted) return promise;
      throw error;
    },
  );
  try {
    return await Promise.race([reading, promise]);
  } finally {
    deadline.removeEventListener('abort', expire);
  }
}
