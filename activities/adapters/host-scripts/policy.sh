# What the running proxy enforces, and whom the machine talks to. Writes nothing.

# All of it, the listeners alone, or nothing: each question to the proxy starts a program.
inspect_exposure() {
  if [ "$1" = no ]; then return; fi
  inspect_policy
  [ "$1" = yes ] || return
  inspect_plaintext
  inspect_passthrough
  inspect_flows
}

# The listener that takes connections now: the one it replaced is told as well while it drains, for 45 s, and so is one that warms up.
active_listener() { proxy_request 15000 "config_dump?resource=dynamic_listeners&name_regex=$1" | sed '/"\(warming\|draining\)_state"/,$d'; }

# As the proxy has it, not as it was told: the evidence that a change of policy has arrived.
inspect_policy() {
  [ -x /usr/local/bin/pilot-agent ] && [ "$(unit_property ActiveState)" != inactive ] || return
  inbound="$(active_listener virtualInbound)" outbound="$(active_listener virtualOutbound)"
  case "$inbound" in *'"virtualInbound"'*) ;; *) return ;; esac
  case "$outbound" in *'"virtualOutbound"'*) emit policy read ;; *) return ;; esac
  echo "$inbound" | plaintext_ports
  case "$outbound" in *'"cluster": "PassthroughCluster"'*) emit policy reachesAnything ;; esac
  echo "$inbound" | grep -o 'ns\[[^]]*\]-policy\[[^]]*\]' | sort -u | sed 's/^ns\[\(.*\)\]-policy\[\(.*\)\]$/authorization	\1\/\2/'
}

# Where plaintext is taken: a port that has a chain of its own, or * for all others.
plaintext_ports() {
  awk '
    /"filter_chain_match": \{/ { in_match = 1; is_plain = 0; port = "*" }
    in_match && /"destination_port":/ { port = $2 + 0 }
    in_match && /"transport_protocol": "raw_buffer"/ { is_plain = 1 }
    in_match && /"filters":/ {
      in_match = 0
      if (is_plain && !(port in seen)) { seen[port] = 1; print "plaintext\t" port }
    }'
}

# What came in plaintext since the proxy started, by Istio's own metrics; a mesh may have none of them.
inspect_plaintext() {
  proxy_request 15000 'stats/prometheus?filter=istio_(requests|tcp_connections_opened)_total' | awk '
    /^istio_(requests|tcp_connections_opened)_total\{/ && /reporter="destination"/ {
      known = 1
      if (/connection_security_policy="none"/) count += $NF
    }
    END { if (known) printf "plaintextServed\t%d\n", count }'
}

# Destinations that no service of the registry holds, while connections to them are open and for some seconds after.
inspect_passthrough() {
  proxy_request 15000 clusters | sed -n 's/^PassthroughCluster::\(.*\)::cx_total::.*$/passthrough	\1/p'
}

# Connections of the last minutes as connection tracking saw them: here a redirected one still has the port that was called.
inspect_flows() {
  own="$(hostname -I 2>/dev/null)"
  { cat /proc/net/nf_conntrack 2>/dev/null || conntrack -L -o extended 2>/dev/null; } | awk -v own="$own" '
    function with_port(address, port) { return (address ~ /:/ ? "[" address "]" : address) ":" port }
    BEGIN { count = split(own, list, " "); for (i = 1; i <= count; i++) is_own[list[i]] = 1 }
    $3 != "tcp" || $6 == "SYN_SENT" { next }
    {
      from = to = port = ""
      # The first of each is the direction in which the connection was made.
      for (i = 6; i <= NF; i++) {
        cut = index($i, "=")
        key = substr($i, 1, cut - 1)
        if (key == "src" && from == "") from = substr($i, cut + 1)
        if (key == "dst" && to == "") to = substr($i, cut + 1)
        if (key == "dport" && port == "") port = substr($i, cut + 1)
      }
      if (to in is_own && !(from in is_own) && from !~ /^127\./ && from != "::1") line = "in " with_port(to, port) " " from
      else if (from in is_own && !(to in is_own) && to !~ /^127\./ && to != "::1") line = "out " from " " with_port(to, port)
      else next
      if (!(line in seen) && ++lines <= 500) { seen[line] = 1; print "flow\t" line }
    }'
}
