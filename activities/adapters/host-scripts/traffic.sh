# Watches for a second what the proxy serves; writes nothing.
# A TCP connection counts as one request; an original destination has a host, and so lines, per worker thread of the proxy.
counters() {
  proxy_request 15000 clusters | awk -F '::' '
    { up = 1 }
    /^(inbound\||InboundPassthroughCluster::)/ && $(NF - 1) == "rq_active" { active += $NF }
    /^(inbound\||InboundPassthroughCluster::)/ && $(NF - 1) == "rq_total" { total += $NF }
    /^outbound\|/ && ($(NF - 1) == "rq_error" || $(NF - 1) == "cx_connect_fail") { failed += $NF }
    END {
      if (up) print "proxyUp\tyes"
      printf "active\t%d\ntotal\t%d\noutboundFailed\t%d\n", active, total, failed
    }'
  proxy_request 15000 'stats/prometheus?filter=istio_(requests|tcp_connections_opened)_total' | awk '
    /^istio_(requests|tcp_connections_opened)_total\{/ {
      known = 1
      if (/reporter="destination"/ && /connection_security_policy="mutual_tls"/) count += $NF
    }
    END { if (known) printf "overMtls\t%d\n", count }'
}

# What each connection to the proxy has sent so far: peer and bytes, one a line.
received() {
  ss -Htin state established '( sport = :15006 )' 2>/dev/null | awk '
    !/^[ \t]/ { peer = $NF; next }
    match($0, /bytes_received:[0-9]+/) { print peer, substr($0, RSTART + 15, RLENGTH - 15) }'
}

# Whose connections are new or went on.
senders() {
  { echo "$1" && echo == && echo "$2"; } | awk '
    $1 == "==" { second = 1; next }
    !second { before[$1] = $2; next }
    $1 != "" && !($1 in before && before[$1] == $2) {
      peer = $1
      sub(/:[0-9]+$/, "", peer)
      gsub(/[][]|::ffff:/, "", peer)
      print "sender\t" peer
    }' | sort -u
}

traffic() {
  echo "$ANSWER_BEGINS"
  before="$(received)"
  counters
  sleep 1
  after="$(received)"
  counters
  senders "$before" "$after"
  echo "$ANSWER_ENDS"
}
