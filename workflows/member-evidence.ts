/** Waits for the evidence that a machine is a member of the mesh; each look is repeated until it is true or its time is over. */
import { ApplicationFailure, sleep } from '@temporalio/workflow';

import type { MachineFacts } from '../activities/ports/host-port.ts';
import { readCluster, readHost } from './activity-proxies.ts';
import { lookAgain } from './look-again.ts';
import type { Waits } from './messages.ts';
import type { OperationReport, StepEnd } from './operation.ts';
import type { Evidence } from './plan/evidence.ts';
import { inspectedPaths } from './plan/inspected-paths.ts';
import type { DecidableInput } from './plan/plan-input.ts';

/** A read that is repeated until it is true or `totalMs` are over. */
type Look<T> = (summary: string, totalMs: number) => Promise<T>;

export const VERIFY_STEPS = ['verifyReady', 'verifyConnected', 'verifyRegistered', 'verifyHealthy'];

/**
 * Ready on 15021, connected to the right istiod, registered, healthy: in this order, `end` being how each step ends. `startedAt` is
 * when this operation started the proxy, which then runs the new version; one that ran before keeps its own until it is restarted,
 * and one that was restarted alone (`keepsVersion`) runs what is installed.
 */
export async function seeMember(
  report: OperationReport,
  input: DecidableInput,
  waits: Required<Waits>,
  end: StepEnd,
  startedAt?: string,
  keepsVersion = startedAt === undefined,
): Promise<Omit<Evidence, 'awaitsRestart'>> {
  const { namespace, name, workloadGroup } = input.request;
  const { revision } = input.cluster;
  const id = `${namespace}/${name}`;
  const entry = { namespace, workloadGroup, address: input.rendered.address };

  const look = <T>(step: string, waitingFor: string, totalMs: number, read: Look<T>): Promise<T> =>
    report.step(step, waitingFor, async () => ({
      end,
      value: await lookAgain(totalMs, () => read(`Wait for ${waitingFor}`, totalMs)),
    }));

  const machine = await look('verifyReady', `15021 of ${id} to answer ready`, waits.readyMs, (summary, totalMs) =>
    untilReady(report, input, totalMs, summary),
  );
  const version = keepsVersion ? machine.proxy.runningVersion : undefined;
  const connected = await look(
    'verifyConnected',
    `${id} to be connected to istiod of ${revision.name}`,
    waits.connectedMs,
    (summary, totalMs) =>
      readCluster(summary, totalMs).verifyConnected({
        namespace,
        name,
        revision: revision.name,
        version: version ?? revision.version,
      }),
  );
  await look(
    'verifyRegistered',
    `istiod to register the WorkloadEntry of ${id}`,
    waits.registeredMs,
    (summary, totalMs) =>
      readCluster(summary, totalMs).verifyRegistered({
        ...entry,
        ...(startedAt === undefined ? {} : { since: startedAt }),
      }),
  );
  const isProbed = hasProbe(input);
  const health = isProbed ? `the health of ${id} to be reported True` : `${id} to stay registered; it has no probe`;
  await look('verifyHealthy', health, waits.healthyMs, (summary, totalMs) =>
    readCluster(summary, totalMs).verifyHealthy({ ...entry, hasProbe: isProbed }),
  );
  const account = { namespace, serviceAccount: input.rendered.serviceAccount };
  return { machine, revision, connected, account, hasProbe: isProbed };
}

/** What one look takes at the least, also when the time is over. */
const LAST_LOOK_MS = 3_000;

async function untilReady(
  report: OperationReport,
  { request: { namespace, name, host } }: DecidableInput,
  readyMs: number,
  summary: string,
): Promise<MachineFacts> {
  const deadline = Date.now() + readyMs;
  for (;;) {
    const leftMs = Math.max(deadline - Date.now(), LAST_LOOK_MS);
    const facts = await readHost(summary, leftMs).inspectMachine({ namespace, name, host, paths: inspectedPaths });
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
