/** MetricsPort over Prometheus' HTTP API, or whatever speaks it. */
import { failure } from '../failures.ts';
import type { MetricsPort } from '../ports/metrics-port.ts';

/** The parts of an answer of `/api/v1/query` that are read [https://prometheus.io/docs/prometheus/latest/querying/api/]. */
interface Answer {
  readonly status: 'success' | 'error';
  readonly error?: string;
  readonly data?: {
    readonly resultType: 'vector' | 'scalar' | 'matrix' | 'string';
    readonly result: readonly unknown[];
  };
}

const WITHIN_MS = 10_000;
/** One number needs a few hundred. */
const MOST_BYTES = 100_000;

export class PrometheusMetrics implements MetricsPort {
  readonly #base: string | undefined;
  /** The store's address, e.g. `http://prometheus.monitoring:9090`; undefined: there is none. */
  constructor(base: string | undefined) {
    this.#base = base?.replace(/\/$/, '');
  }

  async query(promql: string, signal: AbortSignal): Promise<number | undefined> {
    if (this.#base === undefined) {
      throw failure('MetricsUnset', `Nothing answers "${promql}": set MESHLIFT_PROMETHEUS for the worker`);
    }
    const answer = await this.#ask(this.#base, promql, signal);
    if (answer.status === 'error' || answer.data === undefined) {
      throw failure('QueryRefused', `Prometheus does not take "${promql}": ${answer.error ?? 'no reason given'}`);
    }
    return valueOf(answer.data, promql);
  }

  async #ask(base: string, promql: string, signal: AbortSignal): Promise<Answer> {
    const body = new URLSearchParams({ query: promql });
    const within = AbortSignal.any([signal, AbortSignal.timeout(WITHIN_MS)]);
    const unavailable = (why: string, cause?: unknown): Error =>
      failure('MetricsUnavailable', `Prometheus at ${base} ${why}; see its log`, cause);
    let response: Response;
    try {
      response = await fetch(`${base}/api/v1/query`, { method: 'POST', body, signal: within });
    } catch (error) {
      signal.throwIfAborted();
      throw unavailable('does not answer', error);
    }
    // 400 and 422 carry the reason that a query is refused for.
    if (!response.ok && response.status !== 400 && response.status !== 422)
      throw unavailable(`answers ${response.status}`);
    const text = await bounded(response);
    if (text === undefined) {
      throw failure(
        'QueryRefused',
        `"${promql}" answers with more than ${MOST_BYTES} bytes; let it be one number, e.g. by sum()`,
      );
    }
    try {
      return JSON.parse(text) as Answer;
    } catch (error) {
      throw unavailable('answers no JSON', error);
    }
  }
}

/** Undefined where it is longer than any answer that is wanted; the rest is not read. */
async function bounded({ body }: Response): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (body as ReadableStream<Uint8Array> | null) ?? []) {
    length += chunk.length;
    if (length > MOST_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function valueOf({ resultType, result }: NonNullable<Answer['data']>, promql: string): number | undefined {
  const samples = resultType === 'scalar' ? [{ value: result }] : (result as readonly { readonly value?: unknown }[]);
  if (resultType !== 'scalar' && (resultType !== 'vector' || samples.length > 1)) {
    throw failure(
      'QueryRefused',
      `"${promql}" answers with ${resultType === 'vector' ? `${samples.length} samples` : `a ${resultType}`}; let it be one number, e.g. by sum()`,
    );
  }
  const [, text = 'NaN'] = (samples[0]?.value ?? []) as readonly [at?: number, value?: string];
  const value = Number(text.replace('Inf', 'Infinity'));
  // JSON, in which the answer goes on, knows no infinity.
  return Number.isNaN(value) ? undefined : Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);
}
