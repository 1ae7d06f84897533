/** A store of metrics that answers queries of PromQL. Plain data only. */

/** Failure types: `MetricsUnset` (the worker knows no store), `MetricsUnavailable` (it does not answer), `QueryRefused` (it says why). */
export interface MetricsPort {
  /** The value of an instant query that answers with one sample; undefined where it answers with none, or with no number. */
  query(promql: string, signal: AbortSignal): Promise<number | undefined>;
}
