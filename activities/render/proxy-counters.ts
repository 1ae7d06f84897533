/** What a proxy has counted of requests to its own workload, from its metrics in Prometheus' text form. */
import type { ProxyCounters } from '../../workflows/plan/cutover-analysis.ts';

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * By Istio's own metrics where the proxy has them, else by Envoy's of its inbound clusters: the same requests, counted where they are
 * served. Health checks by the kubelet or the agent do not pass the proxy.
 */
export function inboundCounters(text: string): ProxyCounters {
  const samples = text.split('\n').flatMap(sampleOf);
  const istio = samples.filter(
    ({ name, labels }) => name.startsWith('istio_request') && labels['reporter'] === 'destination',
  );
  return istio.length > 0 ? istioCounters(istio) : envoyCounters(samples);
}

function istioCounters(samples: readonly Sample[]): ProxyCounters {
  const requests = samples.filter(({ name }) => name === 'istio_requests_total');
  // Code 0: the caller went away, or nothing was answered.
  const failed = requests.filter(
    ({ labels: { response_code = '0' } }) => Number(response_code) >= 500 || response_code === '0',
  );
  return counters(requests, failed, samples, 'istio_request_duration_milliseconds_sum');
}

/** Istio's bootstrap tags the class of an answer as `response_code_class="5xx"`, Envoy by itself as `envoy_response_code_class="5"`. */
function envoyCounters(samples: readonly Sample[]): ProxyCounters {
  const classOf = ({ labels }: Sample): string | undefined =>
    labels['response_code_class'] ?? labels['envoy_response_code_class'];
  const inbound = samples.filter(({ labels }) =>
    (labels['cluster_name'] ?? labels['envoy_cluster_name'] ?? '').startsWith('inbound|'),
  );
  const requests = inbound.filter(
    (sample) => /^envoy_cluster_upstream_rq(_xx)?$/.test(sample.name) && classOf(sample) !== undefined,
  );
  const failed = requests.filter((sample) => classOf(sample)?.startsWith('5') === true);
  return counters(requests, failed, inbound, 'envoy_cluster_upstream_rq_time_sum');
}

function counters(
  requests: readonly Sample[],
  failed: readonly Sample[],
  all: readonly Sample[],
  sum: string,
): ProxyCounters {
  const times = all.filter(({ name }) => name === sum);
  return {
    requests: total(requests),
    failed: total(failed),
    ...(times.length === 0 ? {} : { totalMs: total(times) }),
  };
}

const total = (samples: readonly Sample[]): number => samples.reduce((sum, { value }) => sum + value, 0);

/** `name{label="value",...} number`; comments and lines of other forms are none. */
function sampleOf(line: string): readonly Sample[] {
  const [, name, labels = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[0-9.eE+]+)/.exec(line) ?? [];
  if (name === undefined || value === undefined) return [];
  const pairs = [...labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
    key,
    text,
  ]);
  return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
}
