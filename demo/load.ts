/** Open-loop load driven from where an app of the sandbox stands: a pod or a machine. No retries; every failure counts. */

export interface LoadReport {
  readonly sent: number;
  readonly failed: number;
  readonly inFlight: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** Answers by hostname of the app that gave them. */
  readonly answeredBy: Readonly<Record<string, number>>;
}

export interface RunningLoad {
  readonly report: () => Promise<LoadReport>;
  /** Sends no more, waits for the answers under way, and reports. */
  readonly stop: () => Promise<LoadReport>;
}

async function ask<T>(method: string, url: string): Promise<T> {
  const response = await fetch(url, { method });
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** Starts a load at the app that listens on `app` (`http://<address>:8080`): kept and fresh connections, one in fifty slow. */
export async function startLoad(app: string, targets: readonly string[], ratePerSecond: number): Promise<RunningLoad> {
  const query = new URLSearchParams([
    ...targets.map((target) => ['url', target] as [string, string]),
    ['rate', String(ratePerSecond)],
  ]);
  const { id } = await ask<{ id: string }>('POST', `${app}/load?${query.toString()}`);
  return {
    report: async () => await ask('GET', `${app}/load/${id}`),
    stop: async () => await ask('POST', `${app}/load/${id}/stop`),
  };
}
