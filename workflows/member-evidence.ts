/** Waits for the evidence that a machine is a member of the mesh; each look is repeated until it is true or its time is over. */
import { ApplicationFailure, sleep } from '@temporalio/workflow';

import type { MachineFacts } from '../activities/ports/host-port.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import type { Waits } from './messages.ts';
import type { OperationReport, StepEnd } from './operation.ts';
import type { Evidence } from './plan/evidence.ts';
import { inspectedPaths } from './plan/inspected-paths.ts';
import type { DecidableInput } from './plan/plan-input.ts';

export const VERIFY_STEPS = ['verifyReady', 'verifyConnected', 'verifyRegistered', 'verifyHealthy'];

/** Ready on 15021, connected to the right istiod, registered, healthy: in this order, `end` being how each step ends. */
export async function seeMember(
  report: OperationReport,
  input: DecidableInput,
  waits: Required<Waits>,
  end: StepEnd,
): Promise<Evidence> {
  const { namespace, name, workloadGroup } = input.request;
  const { revision } = input.cluster;
  const id = `${namespace}/${name}`;
  const entry = { namespace, workloadGroup, address: input.rendered.address };

  const look = <T>(step: string, waitingFor: string, read: (summary: string) => Promise<T>): Promise<T> =>
    report.step(step, waitingFor, async () => ({ end, value: await read(`Wait for ${waitingFor}`) }));

  const machine = await look('verifyReady', `15021 of ${id} to answer ready`, (summary) =>
    untilReady(report, input, waits.readyMs, summary),
  );
  const connected = await look('verifyConnected', `${id} to be connected to istiod of ${revision.name}`, (summary) =>
    readCluster(summary, waits.connectedMs).verifyConnected({
      namespace,
      name,
      revision: revision.name,
      version: revision.version,
    }),
  );
  await look('verifyRegistered', `istiod to register the WorkloadEntry of ${id}`, (summary) =>
    readCluster(summary, waits.registeredMs).verifyRegistered(entry),
  );
  await look('verifyHealthy', `the health of ${id} to be reported True`, (summary) =>
    readCluster(summary, waits.healthyMs).verifyHealthy({ ...entry, hasProbe: hasProbe(input) }),
  );
  return { machine, revision, connected };
}

async function untilReady(
  report: OperationReport,
  { request: { namespace, name, host } }: DecidableInput,
  readyMs: number,
  summary: string,
): Promise<MachineFacts> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    const facts = await readHost(summary, readyMs).inspectMachine({ host, paths: inspectedPaths });
    if (facts.proxy.ready && facts.isCaptured) return facts;
    if (Date.now() >= deadline) {
      const what = facts.proxy.ready ? 'does not capture its traffic' : 'is not ready';
      const message = `Proxy on ${namespace}/${name} ${what} after ${readyMs / 1000} s; see journalctl -u istio there`;
      throw ApplicationFailure.nonRetryable(message, 'ProxyNotReady');
    }
    await sleep('2s', { summary: `Before the next look at ${namespace}/${name}` });
    report.tryAgain('verifyReady');
  }
}

/** A group without a probe never reports health: registered is enough then. */
function hasProbe({ cluster, request }: DecidableInput): boolean {
  const probe = cluster.workloadGroup ? cluster.workloadGroup.spec.probe : request.workload?.probe;
  return probe !== undefined;
}
