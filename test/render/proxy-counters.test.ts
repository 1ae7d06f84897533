/** What a proxy says it has served, from its metrics. */
import { describe, expect, test } from '@jest/globals';

import { inboundCounters } from '../../activities/render/proxy-counters.ts';

const istio = `# TYPE istio_requests_total counter
istio_requests_total{reporter="source",response_code="200",destination_service="a.b.svc.cluster.local"} 999
istio_requests_total{reporter="destination",response_code="200",request_protocol="http"} 90
istio_requests_total{reporter="destination",response_code="404",request_protocol="http"} 4
istio_requests_total{reporter="destination",response_code="503",request_protocol="http"} 5
istio_requests_total{reporter="destination",response_code="0",response_flags="DC"} 1
istio_request_duration_milliseconds_bucket{reporter="destination",le="0.5"} 3
istio_request_duration_milliseconds_sum{reporter="destination"} 1234.5
istio_request_duration_milliseconds_count{reporter="destination"} 100
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="inbound|8080||"} 90
`;

const envoy = `# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="inbound|8080||"} 80
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="inbound|8080||"} 3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="inbound|9090||"} 7
envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name="outbound|80||payments.shop.svc.cluster.local"} 50
envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="inbound|8080||"} 1.5e3
`;

const tagged = `envoy_cluster_external_upstream_rq{cluster_name="inbound|8080||",response_code_class="2xx"} 889
envoy_cluster_upstream_rq{cluster_name="inbound|8080||",response_code_class="2xx"} 889
envoy_cluster_upstream_rq{cluster_name="inbound|8080||",response_code="200"} 889
envoy_cluster_upstream_rq{cluster_name="inbound|9090||",response_code_class="5xx"} 2
envoy_cluster_upstream_rq_time_sum{cluster_name="inbound|8080||"} 55140.081471502089698333293199539
`;

describe('a proxy has served', () => {
  test("what Istio's own metrics of the destination say, where it has them", () => {
    expect(inboundCounters(istio)).toEqual({ requests: 100, failed: 6, totalMs: 1234.5 });
  });
  test("what Envoy's inbound clusters say, where it has none", () => {
    expect(inboundCounters(envoy)).toEqual({ requests: 90, failed: 3, totalMs: 1500 });
  });
  test("the same, as Istio's bootstrap tags it", () => {
    expect(inboundCounters(tagged)).toEqual({ requests: 891, failed: 2, totalMs: 55140.0814715020897 });
  });
  test('nothing, where it says nothing', () => {
    expect(inboundCounters('')).toEqual({ requests: 0, failed: 0 });
  });
});
