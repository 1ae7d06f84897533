/**
 * The script that turns redirection to the proxy on and off. It stands on the machine and needs nothing of Meshlift: reboots and
 * restarts end captured, and a stopped proxy never leaves rules that point at nothing.
 */
export const captureScriptPath = '/var/lib/meshlift/bin/capture';

/**
 * POSIX sh (dash, bash, busybox sh). `on` waits for the proxy and then redirects, `off` stops redirecting, `forget` removes the
 * helper rules as well (only when the machine leaves), `status` succeeds while traffic is redirected. Where the machine is enforced,
 * `off` and, at boot, `close` drop new connections to the captured ports until `on` has put the redirection up.
 */
export function renderCaptureScript(): string {
  return captureScript;
}

// Written without braces around variables: they would be substitutions of this template.
const captureScript = String.raw`#!/bin/sh
# Redirects this machine's traffic to its proxy: capture on | off | close | forget | status.
# Managed by Meshlift; root can undo everything with /var/lib/meshlift/undo.sh.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
export PATH LC_ALL
state=/var/lib/meshlift
agent=/usr/local/bin/pilot-agent
wait_seconds=120

# The same variables, in the same order, as istio-start.sh gives pilot-agent.
load_environment() {
  set -a
  if [ -r /var/lib/istio/envoy/sidecar.env ]; then . /var/lib/istio/envoy/sidecar.env; fi
  if [ -r /var/lib/istio/envoy/cluster.env ]; then . /var/lib/istio/envoy/cluster.env; fi
  set +a
  if [ -n "$ISTIO_BIN_BASE" ]; then agent="$ISTIO_BIN_BASE/pilot-agent"; fi
}

can_use() {
  "$1" -w 30 -t nat -A INPUT -p 255 -j RETURN 2>/dev/null || return 1
  "$1" -w 30 -t nat -D INPUT -p 255 -j RETURN 2>/dev/null
}

# pilot-agent takes the legacy tables where they exist, and looking for them creates them: without a choice that is kept, it
# would redirect in one flavour and clean up in the other.
choose_flavour() {
  known=
  if [ -s "$state/iptables" ]; then read -r known <"$state/iptables"; fi
  # An upgrade of the system may have taken the flavour away; asked only where rules are about to be made.
  case "$known $1" in
    ' '*) still= ;;
    'plain on' | 'plain close') if can_use iptables; then still=yes; else still=; fi ;;
    *' on' | *' close') if can_use "iptables-$known"; then still=yes; else still=; fi ;;
    *) still=yes ;;
  esac
  if [ -n "$still" ]; then
    flavour="$known"
  elif [ "$(iptables-legacy-save 2>/dev/null | wc -l)" -ge 3 ] && can_use iptables-legacy; then
    flavour=legacy
  elif can_use iptables-nft; then
    flavour=nft
  elif can_use iptables-legacy; then
    flavour=legacy
  else
    flavour=plain
  fi
  if [ "$flavour" != "$known" ]; then echo "$flavour" >"$state/iptables"; fi
  suffix=
  if [ "$flavour" != plain ]; then
    suffix="-$flavour"
    FORCE_IPTABLES_BINARY="$flavour"
    export FORCE_IPTABLES_BINARY
  fi
}

# One name per address family in use.
families() {
  echo "iptables$suffix"
  if ip -6 addr show scope global 2>/dev/null | grep -q inet6 && can_use "ip6tables$suffix"; then echo "ip6tables$suffix"; fi
}

# A rule that holds connection tracking while redirection comes and goes: without it, taking the redirection away ends tracking
# and black-holes every connection that runs through the proxy.
tracking="INPUT -m conntrack --ctstate ESTABLISHED -m comment --comment meshlift"
# Connections that are open already look new where tracking starts only now; redirected halfway they would hang.
open_already="-p tcp ! --syn -m comment --comment meshlift -j ACCEPT"

add_helpers() {
  for table in $(families); do
    "$table" -w 30 -t filter -C $tracking 2>/dev/null || "$table" -w 30 -t filter -A $tracking || return 1
    for chain in PREROUTING OUTPUT; do
      first="$("$table-save" -t nat | grep "^-A $chain " | head -n 1)"
      case "$first" in *meshlift*) continue ;; esac
      while "$table" -w 30 -t nat -D $chain $open_already 2>/dev/null; do :; done
      "$table" -w 30 -t nat -I $chain 1 $open_already || return 1
    done
  done
}

remove_helpers() {
  for table in $(families); do
    while "$table" -w 30 -t filter -D $tracking 2>/dev/null; do :; done
    for chain in PREROUTING OUTPUT; do
      while "$table" -w 30 -t nat -D $chain $open_already 2>/dev/null; do :; done
    done
  done
}

# Every port that sshd really listens on, also where systemd listens for it.
sshd_ports() {
  {
    ss -ltnp 2>/dev/null | awk '/"sshd"/ { n = split($4, a, ":"); print a[n] }'
    sshd -T 2>/dev/null | awk '$1 == "port" { print $2 }'
    for socket in ssh.socket sshd.socket; do
      if systemctl is-active -q "$socket" 2>/dev/null; then
        systemctl show -p Listen "$socket" | awk -F '[: ]' '{ for (i = 1; i <= NF; i++) if ($i ~ /^[0-9]+$/) print $i }'
      fi
    done
  } | sort -un
}

# Adds a port to the exclusions, or takes it out of an explicit list of captured ports.
without_port() {
  if [ "$ISTIO_INBOUND_PORTS" = '*' ]; then
    case ",$ISTIO_LOCAL_EXCLUDE_PORTS," in *",$1,"*) return ;; esac
    ISTIO_LOCAL_EXCLUDE_PORTS="$ISTIO_LOCAL_EXCLUDE_PORTS,$1"
    ISTIO_LOCAL_EXCLUDE_PORTS="$(echo "$ISTIO_LOCAL_EXCLUDE_PORTS" | sed 's/^,//')"
  else
    ISTIO_INBOUND_PORTS="$(echo ",$ISTIO_INBOUND_PORTS," | sed "s/,$1,/,/g; s/^,//; s/,$//")"
  fi
}

# The ports that are never redirected: those that Meshlift was told to leave alone, and sshd's.
exclude_ports() {
  for port in $(grep -x '[0-9][0-9]*' "$state/exclude-ports" 2>/dev/null) $(sshd_ports); do without_port "$port"; done
}

# One name per address family that rules can be made for: at boot no address may be there yet.
closable_families() {
  echo "iptables$suffix"
  if "ip6tables$suffix" -w 30 -S INPUT >/dev/null 2>&1; then echo "ip6tables$suffix"; fi
}

closed="INPUT -p tcp --syn -m comment --comment meshlift -j MESHLIFT_CLOSED"

# What a new connection from elsewhere meets: excluded ports stay open, captured ones do not answer.
closed_rules() {
  echo '*filter'
  echo ':MESHLIFT_CLOSED - [0:0]'
  echo '-A MESHLIFT_CLOSED -i lo -j RETURN'
  if [ "$ISTIO_INBOUND_PORTS" = '*' ]; then
    for port in $(echo "$ISTIO_LOCAL_EXCLUDE_PORTS" | tr ',' ' '); do echo "-A MESHLIFT_CLOSED -p tcp --dport $port -j RETURN"; done
    echo '-A MESHLIFT_CLOSED -j DROP'
  else
    for port in 15006 $(echo "$ISTIO_INBOUND_PORTS" | tr ',' ' '); do echo "-A MESHLIFT_CLOSED -p tcp --dport $port -j DROP"; done
  fi
  echo COMMIT
}

close_ports() {
  exclude_ports
  for table in $(closable_families); do
    closed_rules | "$table-restore" -w 30 --noflush || return 1
    "$table" -w 30 -C $closed 2>/dev/null || "$table" -w 30 -I $closed || return 1
  done
}

open_ports() {
  for table in "iptables$suffix" "ip6tables$suffix"; do
    "$table" -w 30 -S MESHLIFT_CLOSED >/dev/null 2>&1 || continue
    while "$table" -w 30 -D $closed 2>/dev/null; do :; done
    "$table" -w 30 -F MESHLIFT_CLOSED && "$table" -w 30 -X MESHLIFT_CLOSED || return 1
  done
}

is_enforced() { [ -e "$state/enforce" ]; }

is_ready() {
  "$agent" request --debug-port 15021 GET healthz/ready >/dev/null 2>&1
}

wait_until_ready() {
  read -r up _ </proc/uptime
  deadline=$(( $(echo "$up" | cut -d . -f 1) + wait_seconds ))
  until is_ready; do
    if [ -n "$MAINPID" ] && ! kill -0 "$MAINPID" 2>/dev/null; then
      echo "meshlift: the proxy ended before it was ready; see /var/log/istio/istio.err.log and istio.log" >&2
      return 1
    fi
    read -r up _ </proc/uptime
    if [ "$(echo "$up" | cut -d . -f 1)" -ge "$deadline" ]; then
      echo "meshlift: the proxy is not ready on 15021 after $wait_seconds s; see /var/log/istio/istio.log" >&2
      return 1
    fi
    sleep 0.2
  done
}

# Table and jump of every redirection that stands, in whichever flavour.
jumps() {
  for save in iptables-legacy-save iptables-nft-save ip6tables-legacy-save ip6tables-nft-save iptables-save ip6tables-save; do
    command -v "$save" >/dev/null 2>&1 || continue
    "$save" 2>/dev/null | awk -v tool="$(echo "$save" | sed 's/-save$//')" '
      /^\*/ { table = substr($0, 2) }
      /^-A (PREROUTING|OUTPUT|INPUT) .*-j ISTIO_/ { sub(/^-A/, "-D"); print tool, "-w 30 -t", table, $0 }'
  done
}

# What pilot-agent left, because it looked at the other flavour or is not there any more.
remove_leftovers() {
  jumps | while read -r command; do eval "$command" 2>/dev/null; done
  for tool in iptables-legacy iptables-nft ip6tables-legacy ip6tables-nft iptables ip6tables; do
    command -v "$tool-save" >/dev/null 2>&1 || continue
    for verb in -F -X; do
      "$tool-save" 2>/dev/null | awk '/^\*/ { table = substr($0, 2) } /^:ISTIO_/ { print table, substr($1, 2) }' |
        while read -r table chain; do "$tool" -w 30 -t "$table" "$verb" "$chain" 2>/dev/null; done
    done
  done
}

# Exclusions that changed since are changed where they stand: without redirection, even for a moment, names of the mesh do not
# resolve here. 15008 is pilot-agent's own.
amend_exclusions() {
  if [ "$ISTIO_INBOUND_PORTS" != '*' ]; then return; fi
  for table in $(families); do
    standing=",15008,$("$table" -w 30 -t nat -S ISTIO_INBOUND 2>/dev/null |
      sed -n 's/^-A ISTIO_INBOUND -p tcp -m tcp --dport \([0-9]*\) -j RETURN$/\1/p' | tr '\n' ',')"
    if [ "$standing" = ,15008, ]; then continue; fi
    for port in $(echo "$ISTIO_LOCAL_EXCLUDE_PORTS" | tr ',' ' '); do
      case "$standing" in *",$port,"*) continue ;; esac
      "$table" -w 30 -t nat -I ISTIO_INBOUND 1 -p tcp --dport "$port" -j RETURN
    done
    for port in $(echo "$standing" | tr ',' ' '); do
      case ",15008,$ISTIO_LOCAL_EXCLUDE_PORTS," in *",$port,"*) continue ;; esac
      "$table" -w 30 -t nat -D ISTIO_INBOUND -p tcp --dport "$port" -j RETURN
    done
  done
}

redirect() {
  exclude_ports
  amend_exclusions
  PROXY_UID="$(id -u istio-proxy)"
  PROXY_GID="$(id -g istio-proxy)"
  export ISTIO_LOCAL_EXCLUDE_PORTS ISTIO_INBOUND_PORTS PROXY_UID PROXY_GID
  said="$("$agent" istio-iptables 2>&1)" && return
  # Rules of an earlier setting stand in the way: clean, then apply. New connections meanwhile wait for their second try, since one
  # that found no redirection would meet the application with the mesh's TLS.
  close_ports
  "$agent" istio-iptables --cleanup-only >/dev/null 2>&1
  said="$("$agent" istio-iptables 2>&1)" && return
  echo "meshlift: pilot-agent istio-iptables failed: $(echo "$said" | tail -n 3)" >&2
  return 1
}

off() {
  if is_enforced && [ "$1" != forever ]; then close_ports; fi
  if [ -n "$(jumps)" ] && [ -x "$agent" ]; then "$agent" istio-iptables --cleanup-only >/dev/null 2>&1; fi
  if [ -n "$(jumps)" ]; then remove_leftovers; fi
  if ! is_enforced || [ "$1" = forever ]; then open_ports; fi
}

load_environment
choose_flavour "$1"
case "$1" in
  on)
    add_helpers && wait_until_ready && redirect && open_ports && exit 0
    off
    exit 1
    ;;
  off) off ;;
  # Where traffic is redirected the unit of the boot was started once more, and there is nothing to close.
  close) if is_enforced && [ -z "$(jumps)" ]; then close_ports; fi ;;
  forget)
    off forever
    remove_helpers
    ;;
  status) [ -n "$(jumps)" ] ;;
  *)
    echo "usage: $0 on | off | close | forget | status" >&2
    exit 64
    ;;
esac
`;
