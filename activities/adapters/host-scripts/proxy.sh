# Starting, confirming and stopping the proxy's unit.
CAPTURE="$STATE/bin/capture"
is_captured() { [ -x "$CAPTURE" ] && "$CAPTURE" status; }

# Moves the deadline of the dead man: seconds from now.
set_deadline() {
  umask 077
  echo "$(($(uptime_seconds) + $1))" >"$RUN/dead-man.new" && mv -f "$RUN/dead-man.new" "$RUN/dead-man"
}

# Arms the dead man. It runs outside this session and reads its deadline anew each second. One of an earlier start may just be
# ending and is not relied on.
arm_dead_man() {
  systemctl stop meshlift-dead-man.service 2>/dev/null
  rm -f "$RUN/dead-man.firing" "$STATE/dead-man-fired"
  set_deadline "$1"
  tries=0
  until systemctl reset-failed meshlift-dead-man.service 2>/dev/null
    systemd-run --quiet --collect --unit=meshlift-dead-man -p Restart=on-failure /bin/sh "$STATE/bin/dead-man" 9>&-; do
    tries=$((tries + 1))
    [ $tries -lt 5 ] ||
      die $EXIT_FAILED 'cannot arm the dead-man timer with systemd-run; traffic is not redirected without it'
    sleep 0.2
  done
}

# Puts back at once what stood before traffic was redirected.
fire_dead_man() {
  echo 0 >"$RUN/dead-man"
  sh "$STATE/bin/dead-man" now
}

# How a name server answers a query for a name that cannot exist: its response code, or nothing where it is silent.
# bash is there, since istio-start.sh needs it; tools that speak DNS mostly are not.
dns_response_code() {
  timeout 3 bash -c '
    exec 3<>"/dev/udp/$0/53" || exit
    printf "ml\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0emeshlift-probe\x07invalid\x00\x00\x01\x00\x01" >&3
    dd bs=512 count=1 <&3 2>/dev/null | od -An -tu1 -j3 -N1' "$1" 2>/dev/null | awk '{ print $1 % 16 }'
}

# Address and port of everything that listens beyond loopback, but sshd and the proxy itself.
listening_ports() {
  ss -ltnp | sed 1d | grep -v -e '"sshd"' -e '"envoy"' -e '"pilot-agent"' | awk '{ print $4 }' | while read -r local; do
    address="${local%:*}" port="${local##*:}"
    case "$address" in
      127.* | '[::1]' | *%lo) continue ;;
      0.0.0.0 | '*' | '[::]') address=127.0.0.1 ;;
    esac
    echo "$(echo "$address" | tr -d '[]' | sed 's/%.*//') $port"
  done | sort -u
}

answers() { timeout 3 bash -c ': <"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

remember_what_answers() {
  for server in $(awk '/^nameserver/ { print $2 }' /etc/resolv.conf 2>/dev/null); do
    code="$(dns_response_code "$server")"
    if [ -n "$code" ]; then echo "$server $code"; fi
  done >"$RUN/resolving"
  listening_ports | while read -r address port; do if answers "$address" "$port"; then echo "$address $port"; fi; done >"$RUN/answering"
}

# Tells what does not answer any more. Response code 2 is a server's own failure: the proxy cannot reach the real one.
check_what_answered() {
  touch "$RUN/resolving" "$RUN/answering"
  while read -r server code; do
    now="$(dns_response_code "$server")"
    [ -n "$now" ] && { [ "$now" != 2 ] || [ "$code" = 2 ]; } || echo "DNS of name server $server"
  done <"$RUN/resolving"
  while read -r address port; do
    answers "$address" "$port" || echo "port $port on $address"
  done <"$RUN/answering"
}

# What does not come back within three looks is cut off by the redirection: nobody waits for the timer then.
require_what_answered() {
  for look in 1 2 3; do
    silent="$(check_what_answered)"
    [ -n "$silent" ] || return 0
    [ $look = 3 ] || sleep 1
  done
  fire_dead_man
  die $EXIT_BROKEN "$(echo "$silent" | head -n 1) does not answer any more, as it did before traffic was redirected; the redirection is taken back. See /var/log/istio/istio.log"
}

# What the proxy writes where the package stood before, and so into folders that stay. An identity of an earlier life of the machine
# is not ours to use: the proxy proves itself by the token that was placed.
prepare_first_start() {
  is_recorded tree /var/lib/istio || record file /var/lib/istio/proxy/grpc-bootstrap.json
  is_recorded tree /etc/certs ||
    for agent_file in key.pem cert-chain.pem root-cert.pem; do record file "/etc/certs/$agent_file"; done
  is_recorded unit istio.service || rm -f /etc/certs/key.pem /etc/certs/cert-chain.pem
}

start_proxy() {
  seconds="$1" ready_seconds="$2"
  systemctl daemon-reload || die $EXIT_FAILED 'systemctl daemon-reload failed'
  state="$(unit_property ActiveState)"
  if [ "$state" = active ] && is_captured; then return; fi
  [ "$(unit_property LoadState)" = loaded ] || die $EXIT_FAILED 'istio.service is not there; install the package istio-sidecar first'
  # /run does not outlive a reboot; a proxy that has had its certificate begins with that.
  [ -s /run/secrets/tokens/istio-token ] || [ -s /etc/certs/cert-chain.pem ] ||
    die $EXIT_NO_TOKEN 'the token that the proxy begins with is gone, as after a reboot; onboard again, which places another'
  enabled="$(unit_property UnitFileState)" previous="$(unit_property InvocationID)"
  prepare_first_start
  record unit istio.service "${enabled:-unknown} $state"
  umask 077
  : >"$RUN/start"
  rm -f "$STATE"/results/*.stopProxy "$STATE"/results/*.confirmCapture
  # A start is taken back whole, whatever change of the isolation was on its way.
  rm -rf "$RUN/enforcement-before"
  armed=
  if ! is_captured; then
    remember_what_answers
    # Armed before any redirection; its time proper begins once traffic is redirected.
    arm_dead_man $((ready_seconds + seconds + 30))
    armed=yes
  fi
  systemctl reset-failed istio.service 2>/dev/null
  case "$state" in
    # A run without redirection, by hand or from before: it starts anew with the drop-in.
    active | activating | reloading | deactivating) systemctl --no-block restart istio.service ;;
    *) systemctl --no-block start istio.service ;;
  esac || die $EXIT_FAILED 'systemctl cannot start istio.service'
  await_capture "$ready_seconds" "$armed"
  if [ -n "$armed" ]; then set_deadline "$seconds"; fi
  changed 'StartProxy istio.service'
}

await_capture() {
  deadline=$(($(uptime_seconds) + $1))
  until [ "$(unit_property ActiveState)" = active ] && [ "$(unit_property InvocationID)" != "$previous" ] && is_captured; do
    # A start that failed once is tried again by systemd; what made it fail is for Meshlift to tell.
    if [ "$(uptime_seconds)" -ge "$deadline" ] || [ "$(unit_property Result)" != success ]; then
      why="$(systemctl status istio.service --no-pager -n 20 2>/dev/null | sed -n 's/.*meshlift: //p' | tail -n 1)"
      log="$(cat /var/log/istio/istio.err.log /var/log/istio/istio.log 2>/dev/null | grep -iE 'error|warn|fatal' | tail -n 2 | cut -c 1-400 | tr '\n' ' ')"
      if [ -n "$2" ]; then fire_dead_man; fi
      die $EXIT_NOT_READY "istio.service did not become ready within $1 s: ${why:-15021 does not answer}; its last warnings: ${log:-none}"
    fi
    sleep 0.2
  done
}

# Succeeds where no timer is armed, and where it is moved away before it runs out.
disarm_dead_man() {
  mv "$RUN/dead-man" "$RUN/confirmed" 2>/dev/null && return
  [ ! -e "$RUN/dead-man.firing" ] && [ ! -e "$STATE/dead-man-fired" ]
}

ran_out() {
  die $EXIT_FAILED 'the dead-man timer ran out before the confirmation and put back what stood before; start the proxy again'
}

confirm_capture() {
  if [ -e "$STATE/dead-man-fired" ]; then ran_out; fi
  if [ ! -e "$RUN/dead-man" ] && [ "$(unit_property UnitFileState)" = enabled ]; then return; fi
  [ "$(unit_property ActiveState)" = active ] && is_captured || die $EXIT_NOT_READY 'istio.service does not run with its traffic redirected'
  is_proxy_ready || die $EXIT_NOT_READY 'the proxy is not ready on 15021'
  require_what_answered
  disarm_dead_man || ran_out
  # Only a confirmed machine comes back captured after a reboot.
  systemctl enable --quiet istio.service 9>&- || die $EXIT_FAILED 'cannot enable istio.service'
  rm -rf "$RUN/confirmed" "$RUN/start" "$RUN/resolving" "$RUN/answering" "$RUN/enforcement-before"
  changed 'ConfirmCapture istio.service'
}

stop_proxy() {
  rm -rf "$RUN/dead-man" "$RUN/dead-man.firing" "$RUN/enforcement-before" "$RUN/start"
  state="$(unit_property ActiveState)" enabled="$(unit_property UnitFileState)"
  if [ "$(unit_property LoadState)" != loaded ]; then return; fi
  if is_captured; then "$CAPTURE" off; fi
  case "$state $enabled" in
    'inactive disabled' | 'inactive static' | 'failed disabled') return ;;
  esac
  systemctl stop istio.service || die $EXIT_FAILED 'systemctl cannot stop istio.service'
  systemctl disable --quiet istio.service 9>&- 2>/dev/null
  rm -f "$STATE"/results/*.startProxy "$STATE"/results/*.confirmCapture
  changed 'StopProxy istio.service'
}
