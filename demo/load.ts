/** Open-loop load driven from where an app of the sandbox stands: a pod or a machine. No retries; every failure counts. */

export interface LoadReport {
  readonly sent: number;
  readonly failed: number;
  readonly inFlight: number;
  /** Requests that left more than 0.2 s late: the generator itself could not keep its rate. */
  readonly sentLate: number;
  /** The longest time without an answer, slow ones left out. */
  readonly gapSeconds: number;
  /** Of a tcp load: how many it keeps, made, and lost to others. */
  readonly connections: { readonly open: number; readonly opened: number; readonly cut: number };
  /** Of answers that were not asked to be slow. */
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number };
  readonly reasons: Readonly<Record<string, number>>;
  /** Answers by hostname of the app that gave them. */
  readonly answeredBy: Readonly<Record<string, number>>;
}

export interface RunningLoad {
  readonly report: () => Promise<LoadReport>;
  /** Sends no more, waits for the answers under way, and reports. */
  readonly stop: () => Promise<LoadReport>;
}

/** Longer than anything here measures: a load whose harness was killed does not go on in the way of all that comes after. */
const LONGEST = '1h';

async function ask<T>(method: string, url: string): Promise<T> {
  const response = await fetch(url, { method });
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/**
 * Starts a load at the app that listens on `app` (`http://<address>:8080`). The targets' scheme says what is sent: `http` and
 * `grpc` on kept and fresh connections in turn, one in fifty takes `slowSeconds` (3), one in ten of grpc is a short stream; `tcp` sends
 * lines over `connections` (50) that are kept; `greeting` waits for the server's first words on fresh ones.
 */
export async function startLoad(
  app: string,
  targets: readonly string[],
  ratePerSecond: number,
  connections?: number,
  slowSeconds?: number,
): Promise<RunningLoad> {
  const query = new URLSearchParams([
    ...targets.map((target) => ['url', target] as [string, string]),
    ['rate', String(ratePerSecond)],
    ['duration', LONGEST],
    ...(connections === undefined ? [] : [['connections', String(connections)] as [string, string]]),
    ...(slowSeconds === undefined ? [] : [['slow', `${slowSeconds}s`] as [string, string]]),
  ]);
  const { id } = await ask<{ id: string }>('POST', `${app}/load?${query.toString()}`);
  return {
    report: async () => await ask('GET', `${app}/load/${id}`),
    stop: async () => await ask('POST', `${app}/load/${id}/stop`),
  };
}
