#!/bin/sh
# Puts this machine back as it was before Meshlift, from the journal beside this script. Root can run it without Meshlift:
#   sudo sh /var/lib/meshlift/undo.sh
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
export PATH LC_ALL
STATE="${STATE:-/var/lib/meshlift}"
RUN="${RUN:-/run/meshlift}"

fail() {
  echo "meshlift undo: $*" >&2
  exit 1
}

# Another program is at work: a later run goes on from here.
fail_busy() {
  echo "meshlift undo: $*" >&2
  exit 72
}

stop_capture() {
  rm -rf "$RUN/dead-man" "$RUN/dead-man.firing" "$RUN/enforcement-before" "$RUN/start"
  # Redirection goes first: callers then reach the application directly while the proxy stops.
  if [ -x "$STATE/bin/capture" ]; then "$STATE/bin/capture" off; fi
}

undo_unit() {
  case "$(systemctl show istio.service -p LoadState)" in *=loaded) ;; *) return 0 ;; esac
  read -r enabled active <"$STATE/before/$1" || :
  [ "$active" = active ] || systemctl stop istio.service || return
  # An earlier stop disabled it.
  if [ "$enabled" = enabled ]; then systemctl enable --quiet istio.service 9>&- || return
  else systemctl disable --quiet istio.service 9>&- 2>/dev/null; fi
  systemctl reset-failed istio.service 2>/dev/null
  return 0
}

# A write that was killed leaves its temporary file, which may hold a token.
undo_file() {
  temporary="$(dirname "$2")/.$(basename "$2").meshlift"
  rm -f "$temporary"
  if [ -e "$STATE/before/$1" ] || [ -L "$STATE/before/$1" ]; then
    [ -d "$(dirname "$2")" ] || return 0
    cp -a "$STATE/before/$1" "$temporary" && sync && mv -f "$temporary" "$2"
  else
    rm -f "$2"
  fi
}

# Edits that others made to /etc/hosts since stay; without any, the very file of before returns.
undo_hosts() {
  rm -f "$(dirname "$2")/.$(basename "$2").meshlift"
  awk '/^# BEGIN meshlift$/ { inside = 1 } !inside { print } /^# END meshlift$/ { inside = 0 }' "$2" >"$RUN/hosts" || return
  if [ "$(cat "$RUN/hosts")" = "$(cat "$STATE/before/$1")" ]; then
    undo_file "$1" "$2"
  else
    temporary="$(dirname "$2")/.$(basename "$2").meshlift"
    cp -p "$2" "$temporary" && cat "$RUN/hosts" >"$temporary" && mv -f "$temporary" "$2"
  fi
  rm -f "$RUN/hosts"
}

# A package manager that is at work is waited for.
run_uninstaller() {
  tries=0
  until DEBIAN_FRONTEND=noninteractive "$@" >"$RUN/uninstaller" 2>&1 9>&-; do
    cat "$RUN/uninstaller" >&2
    grep -qiE 'locked by another|transaction lock' "$RUN/uninstaller" || return 1
    tries=$((tries + 1))
    [ $tries -lt "${MESHLIFT_TRIES:-60}" ] ||
      fail_busy "the package manager of this machine is busy since more than 60 s; run this again once it is done"
    sleep 1
  done
  rm -f "$RUN/uninstaller"
}

undo_package() {
  if command -v dpkg >/dev/null 2>&1; then
    dpkg-query -W "$1" >/dev/null 2>&1 || return 0
    run_uninstaller dpkg --purge --force-remove-reinstreq "$1" || return
  elif rpm -q "$1" >/dev/null 2>&1; then
    run_uninstaller rpm -e "$1" || return
  fi
  systemctl daemon-reload
}

undo_user() {
  getent passwd "$1" >/dev/null || return 0
  userdel "$1" 2>/dev/null || deluser "$1"
}

undo_group() {
  getent group "$1" >/dev/null || return 0
  groupdel "$1" 2>/dev/null || delgroup "$1"
}

undo_owner() {
  [ -d "$2" ] || return 0
  read -r owner mode <"$STATE/before/$1" && chown "$owner" "$2" && chmod "$mode" "$2"
}

undo_entry() {
  case "$2" in
    unit) undo_unit "$1" ;;
    file) undo_file "$1" "$3" ;;
    hosts) undo_hosts "$1" "$3" ;;
    dir) [ ! -d "$3" ] || rmdir "$3" 2>/dev/null || echo "meshlift undo: $3 is not empty and stays" ;;
    tree) rm -rf "$3" ;;
    link) rm -f "$3" ;;
    owner) undo_owner "$1" "$3" ;;
    package) undo_package "$3" ;;
    user) undo_user "$3" ;;
    group) undo_group "$3" ;;
    *) fail "unknown kind $2 in $STATE/journal" ;;
  esac
}

[ "$(id -u)" = 0 ] || fail 'only root can put the machine back; run it with sudo'
[ -e "$STATE/journal" ] || fail "nothing to undo: there is no $STATE/journal"
mkdir -p "$RUN"
if [ -z "$MESHLIFT_LOCKED" ]; then
  exec 9>"$STATE/lock"
  flock -w 120 9 || fail "Meshlift is at work on this machine and holds $STATE/lock; try again"
fi
stop_capture
# Newest first; each entry goes once it is undone, so that a run that was cut short goes on where it stopped.
while [ -s "$STATE/journal" ]; do
  line="$(tail -n 1 "$STATE/journal")"
  number="$(echo "$line" | cut -f 1)"
  kind="$(echo "$line" | cut -f 2)"
  object="$(echo "$line" | cut -f 3-)"
  # The capture script is gone before its helper rules otherwise.
  if [ "$object" = "$STATE/bin/capture" ] && [ -x "$object" ]; then "$object" forget; fi
  undo_entry "$number" "$kind" "$object" || fail "cannot undo: $kind $object; mend it and run this again"
  sed '$d' "$STATE/journal" >"$STATE/journal.new" && mv -f "$STATE/journal.new" "$STATE/journal" || fail "cannot write $STATE/journal"
done
systemctl daemon-reload 2>/dev/null
if [ -z "$MESHLIFT_LOCKED" ]; then rm -rf "$STATE" "$RUN"; fi
exit 0
