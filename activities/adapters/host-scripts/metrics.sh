# The proxy's own counts of what came to this machine; writes nothing.
metrics() {
  proxy_request 15000 'stats/prometheus?filter=(istio_request|cluster.inbound)'
}
