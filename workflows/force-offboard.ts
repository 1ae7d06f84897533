/**
 * Takes away what the cluster holds of a machine that does not answer any more: its entry, out of load balancing first, its objects,
 * and the group with its last machine. The machine is not touched; what Meshlift put there stays, and the outcome says so.
 */
import { ApplicationFailure, TemporalFailure } from '@temporalio/workflow';

import type { ClusterFacts } from '../activities/ports/cluster-port.ts';
import type { OnboardMachine } from '../api/schemas/machine.ts';
import { changeCluster, readCluster } from './activity-proxies.ts';
import { explainFailure, isStopAsked } from './explain-failure.ts';
import { lookAgain } from './look-again.ts';
import type { OperationOutcome, Waits } from './messages.ts';
import { endOperation, now } from './operation.ts';
import type { OperationReport } from './operation.ts';
import { drainValue } from './plan/drain-value.ts';
import { clusterLeftovers, objectsOfMachine } from './plan/offboard-plan.ts';
import { notTouched } from './plan/read-checks.ts';

export const FORCED_STEPS = ['drainWorkloadEntry', 'removeWorkloadEntry', 'removeClusterObjects', 'verifyRemoved'];

export async function forceOffboard(
  report: OperationReport,
  body: OnboardMachine,
  waits: Required<Waits>,
): Promise<OperationOutcome> {
  const id = `${body.namespace}/${body.name}`;
  let isBegun = false;
  try {
    report.waitFor(`what the cluster holds of ${id}`);
    const cluster = await readFacts(body, waits);
    report.setConditions([{ ...notTouched(body), lastTransitionTime: now() }]);
    isBegun = true;
    await takeAway(report, body, cluster, waits);
    const message = `The cluster has nothing of ${id} left; the machine itself was not touched, as force asks`;
    const end = report.finish('Succeeded', message, notTouched(body).message);
    return await endOperation(end, { fence: 0, leftBehind: false });
  } catch (error) {
    if (!(error instanceof TemporalFailure) || report.isFinished()) throw error;
    const phase = isStopAsked(error) ? 'Cancelled' : 'Failed';
    const { message } = explainFailure(error);
    const what = isBegun ? `the cluster's side of ${id} is partly taken away` : 'nothing was touched';
    const end = report.finish(phase, `${message}; ${what}`, `DELETE ${id} with force again`);
    return endOperation(end, { fence: 0, leftBehind: isBegun });
  }
}

function readFacts({ namespace, name, workloadGroup }: OnboardMachine, waits: Required<Waits>): Promise<ClusterFacts> {
  const summary = `Read what the cluster holds of ${namespace}/${name}`;
  return lookAgain(waits.readableMs, () =>
    readCluster(summary, waits.readableMs).readClusterFacts({ namespace, machine: name, workloadGroup }),
  );
}

async function takeAway(
  report: OperationReport,
  body: OnboardMachine,
  found: ClusterFacts,
  waits: Required<Waits>,
): Promise<void> {
  const { namespace, name, workloadGroup } = body;
  const id = `${namespace}/${name}`;
  const entry = { namespace, workloadGroup, machine: name };
  const change = (step: string, waitingFor: string, apply: (summary: string) => Promise<boolean>): Promise<void> =>
    report.step(step, waitingFor, async () => {
      const isChanged = await apply(`Wait for ${waitingFor}`);
      return { end: isChanged ? 'Succeeded' : 'Unchanged', value: undefined };
    });

  await change('drainWorkloadEntry', `the WorkloadEntry of ${id} to be labelled`, (summary) =>
    changeCluster(summary, waits.changeMs).drainWorkloadEntry({ ...entry, value: drainValue(report.current().id) }),
  );
  await change('removeWorkloadEntry', `the WorkloadEntry of ${id} to go`, async (summary) => {
    const removed = await changeCluster(summary, waits.changeMs).removeWorkloadEntry(entry);
    return removed.length > 0;
  });
  await change('removeClusterObjects', `the objects of ${id} to go`, async (summary) => {
    const cluster = changeCluster(summary, waits.changeMs);
    const removed = await cluster.removeObjects({ objects: objectsOfMachine(name, found) });
    const serviceAccount = body.workload?.serviceAccount ?? workloadGroup;
    const shared = await cluster.removeGroupIfUnused({ ...entry, serviceAccount });
    return removed.length + shared.length > 0;
  });
  await report.step('verifyRemoved', `a last look at what the cluster holds of ${id}`, async () => {
    const summary = `Look for a WorkloadEntry of ${id}`;
    const [cluster, registered] = await Promise.all([
      readFacts(body, waits),
      lookAgain(waits.readableMs, () => readCluster(summary, waits.readableMs).readWorkloadEntry(entry)),
    ]);
    const left = clusterLeftovers(name, cluster, registered);
    if (left.length === 0) return { end: 'Succeeded', value: undefined };
    const message = `Still there of ${id}: ${left.join(', ')}; a proxy that still runs there registers again until it is stopped`;
    throw ApplicationFailure.nonRetryable(message, 'NotRemoved');
  });
}
