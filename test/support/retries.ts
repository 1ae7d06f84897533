/** How often a caller's proxy tried again: Istio's default retries would hide a loss, so the sandbox's mesh has them off. */
import type { SandboxMachine } from '../../demo/sandbox-client.ts';
import { command, onMachine } from './sandbox.ts';

const request = 'stats?filter=upstream_rq_retry$';

/** Of the proxy of a Deployment's pod, since it started, towards this host; throws where it has sent it nothing. */
export async function retriesOfPod(namespace: string, deployment: string, host: string): Promise<number> {
  const proxy = ['-n', namespace, 'exec', `deploy/${deployment}`, '-c', 'istio-proxy'];
  return countOf(await command('kubectl', ...proxy, '--', 'pilot-agent', 'request', 'GET', request), host);
}

/** Of a machine's proxy, likewise. */
export const retriesOfMachine = async (machine: SandboxMachine, host: string): Promise<number> =>
  countOf(await onMachine(machine, `pilot-agent request GET '${request}'`), host);

/** A proxy begins to count with the first request, and only what the mesh's proxyStatsMatcher names. */
function countOf(stats: string, host: string): number {
  const counters = [...stats.matchAll(/^cluster\.outbound\|\d+\|[^|]*\|([^;]+);?\.upstream_rq_retry: (\d+)$/gm)];
  const counts = counters.filter(([, to]) => to === host).map(([, , count]) => Number(count));
  if (counts.length === 0) throw new Error(`The caller's proxy counts no retries towards ${host}: ${stats}`);
  return counts.reduce((sum, count) => sum + count, 0);
}
