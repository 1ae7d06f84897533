# Reads everything Meshlift knows of a machine; writes nothing. Arguments: how closely to look (yes: also which servers speak first and
# whom the machine talks to; policy: also what the proxy's listeners do; callers: who called, and nothing else; no), addresses with ports
# to connect to (one argument, by spaces), then the files to digest.
inspect_system() {
  emit hostname "$(hostname -s 2>/dev/null || uname -n | cut -d . -f 1)"
  awk -v name="$(hostname -s 2>/dev/null || uname -n)" \
    '{ sub(/#.*/, ""); for (i = 2; i <= NF; i++) if ($i == name) { print "hostsFile\t" $1; exit } }' /etc/hosts 2>/dev/null
  grep '^hosts:' /etc/nsswitch.conf 2>/dev/null | emit_lines nameSwitch
  emit_lines osRelease 2>/dev/null </etc/os-release
  emit architecture "$(dpkg --print-architecture 2>/dev/null || uname -m)"
  for tool in dpkg rpm; do if has $tool; then emit packageTool $tool; fi; done
  if [ -d /run/systemd/system ]; then emit systemd running; fi
  for tool in awk bash cmp flock getent hostname id ip iptables sed sha256sum ss stat sudo systemctl systemd-run tar timeout; do
    has $tool || emit missingTool $tool
  done
  emit time "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
  inspect_addresses
  grep '^nameserver' /etc/resolv.conf 2>/dev/null | awk '{ print "nameserver\t" $2 }'
  df -Pk /var/lib 2>/dev/null | awk 'NR == 2 { print "freeKilobytes\t" $4 }'
}

inspect_addresses() {
  for address in $(hostname -I 2>/dev/null || ip -o addr show 2>/dev/null | awk '{ sub(/\/.*/, "", $4); print $4 }'); do
    emit address "$address"
  done
}

inspect_files() {
  awk '/^# END meshlift$/ { inside = 0 } inside { print "hostsBlock\t" $0 } /^# BEGIN meshlift$/ { inside = 1 }' /etc/hosts
  sed -n "s/^ISTIO_SVC_IP=//p" /var/lib/istio/envoy/cluster.env 2>/dev/null | tr -d "'\"" | emit_lines registeredAddress
  for path in "$@"; do
    [ -f "$path" ] || continue
    case "$path" in *.pem) certificates_of "$path" | while read -r text; do emit certificate "$text $path"; done ;; esac
    emit file "$(stat -c '%a %U:%G' "$path") $(sha256sum <"$path" | cut -d ' ' -f 1) $path"
  done
}

inspect_package() {
  if has dpkg-query; then
    dpkg-query -W -f '${db:Status-Abbrev}\t${Version}\n' istio-sidecar 2>/dev/null | awk -F '\t' '/^.i/ { print "package\t" $2 }'
  elif has rpm; then
    version="$(rpm -q --qf '%{VERSION}' istio-sidecar 2>/dev/null)" && emit package "$version"
  fi
}

inspect_proxy() {
  has systemctl || return
  systemctl show istio.service -p LoadState,ActiveState,UnitFileState,InvocationID 2>/dev/null | emit_lines unit
  [ -x /usr/local/bin/pilot-agent ] && [ "$(unit_property ActiveState)" != inactive ] || return
  if is_proxy_ready; then emit ready yes; fi
  # Both answers grow with the mesh; a line a value is all that is needed of them.
  proxy_request 15000 server_info | awk -F '"' '$2 == "ISTIO_VERSION" { print "runningVersion\t" $4; exit }'
  proxy_request 15000 certs | awk -F '"' '
    $2 == "ca_cert" { leaf = 0 }
    $2 == "cert_chain" { leaf = 1 }
    leaf && $2 == "uri" && $4 ~ /^spiffe:/ { uri = $4 }
    leaf && $2 == "expiration_time" && uri != "" { print "spiffeId\t" uri "\ncertificateExpiresAt\t" $4; exit }'
}

inspect_journal() {
  read_fence
  emit fence "$highest"
  if [ -r "$STATE/owner" ]; then emit_lines owner <"$STATE/owner"; fi
  if [ -r "$STATE/steps" ]; then emit_lines step <"$STATE/steps"; fi
  if [ -r "$STATE/journal" ]; then emit entries "$(wc -l <"$STATE/journal")"; fi
  if [ -e "$RUN/dead-man" ] || [ -e "$RUN/dead-man.firing" ]; then emit deadMan armed; fi
  if [ -e "$STATE/hold" ]; then emit isHeld yes; fi
  if [ -e "$STATE/enforce" ]; then emit isEnforced yes; fi
  inspect_excluded
}

inspect_excluded() {
  if [ -r "$STATE/exclude-ports" ]; then grep -x '[0-9]*' "$STATE/exclude-ports" | emit_lines excludedPort; fi
}

# All of a machine costs it a fifth of a second of processor, while it serves.
inspect_callers() {
  inspect_addresses
  inspect_listening
  inspect_connections
  inspect_excluded
  inspect_flows
}

inspect_machine() {
  inspect_system
  inspect_files "$@"
  inspect_package
  inspect_proxy
  inspect_network
  inspect_processes
  inspect_exposure "$looks"
  inspect_journal
}

# Both at once: what the probes say waits in the pipe.
inspect() {
  looks="$1" targets="$2"
  shift 2
  echo "$ANSWER_BEGINS"
  if [ "$looks" = callers ]; then
    inspect_callers
    echo "$ANSWER_ENDS"
    return
  fi
  probe "$looks" "$targets" | { inspect_machine "$@" </dev/null; cat; }
  echo "$ANSWER_ENDS"
}
