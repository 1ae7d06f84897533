# What inspect reads of a machine's network, and what it finds out by connecting.
inspect_network() {
  # Listing legacy tables that are not loaded would load them.
  if grep -q . /proc/net/ip_tables_names 2>/dev/null; then
    { iptables-legacy-save 2>/dev/null || iptables-save 2>/dev/null; } | redirect_rules
  fi
  { iptables-nft-save 2>/dev/null || iptables-save 2>/dev/null; } | redirect_rules
  nft_redirects
  inspect_listening
  inspect_connections
  ip -o link show 2>/dev/null | awk -F ': ' 'NR <= 200 { print "interface\t" $2 }'
}

# Who listens, and where sshd does, also where systemd listens for it.
inspect_listening() {
  ss -ltnp 2>/dev/null | sed 1d | emit_lines listening
  sshd -T 2>/dev/null | awk '$1 == "port" { print "sshdPort\t" $2 }'
  for socket in ssh.socket sshd.socket; do
    if systemctl is-active -q $socket 2>/dev/null; then systemctl show -p Listen $socket | emit_lines sshdSocket; fi
  done
}

# Istio's own redirection, and at most twenty rules of others.
redirect_rules() {
  awk '/-j ISTIO_/ { print "redirection\t" $0 }
    /^-A/ && !/^-A ISTIO_/ && /-j (REDIRECT|TPROXY|DNAT)/ && ++others <= 20 { print "redirect\t" $0 }'
}

# Rules that nft holds outside of the tables of iptables.
nft_redirects() {
  nft list ruleset 2>/dev/null | awk '
    /^table / { own = ($2 ~ /^ip6?$/ && $3 ~ /^(filter|nat|mangle|raw|security)$/) ; table = $2 " " $3 }
    !own && /(dnat|redirect|tproxy)( |$)/ && ++others <= 20 { sub(/^[ \t]+/, ""); print "redirect\t" "nft " table ": " $0 }'
}

# A connection counts as inbound where its local port is listened on. The other side's port is left out: a caller counts once.
inspect_connections() {
  {
    ss -ltn 2>/dev/null | sed 1d | awk '{ print "listens", $4 }'
    ss -tnp state established 2>/dev/null | sed 1d | awk '{ print "has", $3, $4, $5 }'
  } | awk '
    function host(endpoint) { sub(/:[0-9]*$/, "", endpoint); gsub(/\[|\]|%.*$/, "", endpoint); sub(/^::ffff:/, "", endpoint); return endpoint }
    function port(endpoint) { sub(/^.*:/, "", endpoint); return endpoint }
    function with_port(endpoint,    address) { address = host(endpoint); return (address ~ /:/ ? "[" address "]" : address) ":" port(endpoint) }
    $1 == "listens" { listens[port($2)] = 1; next }
    host($3) ~ /^127\./ || host($3) == "::1" || host($2) == host($3) { next }
    {
      name = $4
      if (sub(/^users:\(\("/, "", name)) sub(/".*$/, "", name); else name = ""
      line = port($2) in listens ? "in " with_port($2) " " host($3) : "out " host($2) " " with_port($3)
      if (!(line in seen) && ++count <= 200) { seen[line] = 1; print "connection\t" line " " name }
    }'
}

# Processes of this machine's own network, those of containers left out, that matter to the proxy or to DNS.
inspect_processes() {
  own="$(readlink /proc/self/ns/net)"
  grep -s -x -E 'envoy|pilot-agent|systemd-resolve|dnsmasq|consul' /proc/[0-9]*/comm | while IFS=: read -r file name; do
    [ "$(readlink "${file%/comm}/ns/net" 2>/dev/null)" = "$own" ] || continue
    case "$name" in
      envoy | pilot-agent) emit proxyProcess "$name" ;;
      systemd-resolve) emit resolver systemd-resolved ;;
      *) emit resolver "$name" ;;
    esac
  done
}

# Ports whose server may be asked: not those of sshd and of the proxy, and not those that only the machine itself reaches.
served_ports() {
  ss -ltnp 2>/dev/null | sed 1d | awk '
    /"sshd"/ { next }
    {
      port = $4; sub(/^.*:/, "", port)
      address = $4; sub(/:[0-9]*$/, "", address); gsub(/\[|\]|%.*$/, "", address)
      if (address ~ /^127\./ || address == "::1" || (port >= 15000 && port <= 15090)) next
      if (address == "*" || address == "0.0.0.0") address = "127.0.0.1"
      if (address == "::") address = "::1"
      if (!(port in seen) && ++count <= 100) { seen[port] = 1; print "listener", address, port }
    }'
}

# Connects to each listener and target at once, and says which listener speaks without being spoken to. Reads arguments and
# listeners alone: bash opens the connections, since no other tool for that is on every machine.
probe() {
  {
    if [ "$1" = yes ]; then served_ports; fi
    for target in $2; do echo "target ${target%:*} ${target##*:}" | tr -d '[]'; done
  } | timeout 6 bash -c '
    LC_ALL=C
    byte() { IFS= read -r -d "" -n 1 -t "$1" -u 3 byte; }
    # An HTTP/2 server, gRPC too, sends its SETTINGS at once (00 00 <length> 04); its client does not wait for them.
    is_http2() { [ -z "$byte" ] && byte 0.1 && [ -z "$byte" ] && byte 0.1 && byte 0.1 && [ "$byte" = "$(printf "\004")" ]; }
    speaks() {
      exec 3<>"/dev/tcp/$1/$2" && byte 0.7 && ! is_http2 && printf "serverFirst\t%s\n" "$2"
    }
    reaches() {
      if timeout 3 bash -c "exec 3<>/dev/tcp/\$0/\$1" "$1" "$2"; then found=reached; else found=refused; fi
      case "$1" in *:*) printf "target\t[%s]:%s %s\n" "$1" "$2" $found ;; *) printf "target\t%s:%s %s\n" "$1" "$2" $found ;; esac
    }
    while read -r kind host port; do
      case "$kind" in listener) speaks "$host" "$port" & ;; target) reaches "$host" "$port" & ;; esac
    done
    wait' 2>/dev/null
}
