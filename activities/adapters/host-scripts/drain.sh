# Keeping a machine out of the mesh while it is drained or half changed, and the restart of its proxy.
HOLD="$STATE/hold"

hold_machine() {
  if [ "$(cat "$HOLD" 2>/dev/null)" = "$1" ]; then return; fi
  echo "$1" >"$STAGE/hold"
  replace_file "$STAGE/hold" "$HOLD" 0600 root:root
  changed "Hold $HOLD"
}

release_hold() {
  rm -f "$RUN/start"
  [ -e "$HOLD" ] || return 0
  rm -f "$HOLD"
  sync_path "$STATE"
  changed "ReleaseHold $HOLD"
}

stop_capture() {
  is_captured || return 0
  "$CAPTURE" off
  changed 'StopCapture'
}

# A proxy that does not run captures nothing: its start does.
start_capture() {
  if is_captured || [ "$(unit_property ActiveState)" != active ]; then return 0; fi
  "$CAPTURE" on || die $EXIT_NOT_READY 'traffic cannot be redirected to the proxy; see /var/log/istio/istio.log'
  changed 'StartCapture'
}

# The agent answers before it has asked the proxy, and the next stop is immediate from then on.
drain_proxy() {
  [ "$(unit_property ActiveState)" = active ] || return 0
  timeout 10 /usr/local/bin/pilot-agent request --debug-port 15020 POST drain >/dev/null 2>&1 ||
    die $EXIT_NOT_READY 'the agent does not take a drain on 15020; see /var/log/istio/istio.log'
  changed 'DrainProxy'
}

uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }

# The run that this operation found is recorded before it is ended, so that only that one is ended.
restart_proxy() {
  [ "$(unit_property LoadState)" = loaded ] || die $EXIT_FAILED 'istio.service is not there; onboard the machine again'
  current="$(unit_property InvocationID)" state="$(unit_property ActiveState)"
  began="$STATE/restarting"
  if [ "$(cut -d ' ' -f 1 "$began" 2>/dev/null)" != "$operation" ]; then
    echo "$operation ${current:-none} $(uptime_ms)" >"$STAGE/restarting"
    replace_file "$STAGE/restarting" "$began" 0600 root:root
  fi
  read -r _ previous began_ms <"$began"
  umask 077
  : >"$RUN/start"
  systemctl reset-failed istio.service 2>/dev/null
  case "$state" in
    active | activating | reloading | deactivating)
      if [ "${current:-none}" = "$previous" ]; then systemctl --no-block restart istio.service; fi
      ;;
    *) systemctl --no-block start istio.service ;;
  esac || die $EXIT_FAILED 'systemctl cannot restart istio.service'
  await_restart "$1"
  # A reboot on the way starts the clock anew.
  gap=$(($(uptime_ms) - began_ms))
  if [ $gap -gt 0 ]; then emit gapMs $gap >>"$STAGE/result"; fi
  changed 'RestartProxy istio.service'
}

# A start that failed once is tried again by systemd.
await_restart() {
  deadline=$(($(uptime_seconds) + $1))
  until [ "$(unit_property ActiveState)" = active ] && [ "$(unit_property InvocationID)" != "$previous" ] && is_captured; do
    if [ "$(uptime_seconds)" -ge "$deadline" ]; then
      why="$(systemctl status istio.service --no-pager -n 20 2>/dev/null | sed -n 's/.*meshlift: //p' | tail -n 1)"
      die $EXIT_NOT_READY "istio.service did not come back within $1 s: ${why:-15021 does not answer}; see journalctl -u istio"
    fi
    sleep 0.1
  done
}
