# Enforcing a machine's isolation, and going back to observing: flag and exclusions, then the capture script again; nothing restarts.
BEFORE="$RUN/enforcement-before"

# What stood before this change, for the dead man; kept from the first attempt on.
keep_enforcement() {
  if [ -d "$BEFORE" ]; then return; fi
  rm -rf "$BEFORE.new"
  mkdir -p "$BEFORE.new"
  for name in enforce exclude-ports; do
    if [ -e "$STATE/$name" ]; then cp -p "$STATE/$name" "$BEFORE.new/" || die $EXIT_FAILED "cannot keep a copy of $STATE/$name"; fi
  done
  mv "$BEFORE.new" "$BEFORE" || die $EXIT_FAILED "cannot make $BEFORE"
}

# A timer of an earlier change decides nothing any more.
forget_dead_man() {
  rm -rf "$RUN/dead-man" "$RUN/dead-man.firing" "$STATE/dead-man-fired" "$BEFORE"
}

is_as_wanted() {
  cmp -s "$2" "$STATE/exclude-ports" || { [ ! -s "$2" ] && [ ! -e "$STATE/exclude-ports" ]; } || return 1
  case "$1" in
    enforce) [ -e "$STATE/enforce" ] ;;
    *) [ ! -e "$STATE/enforce" ] ;;
  esac
}

# Mode, file with the excluded ports, and how long the dead man waits for a confirmation; 0: nobody confirms, as where a change is
# taken back.
set_enforcement() {
  isolation="$1" ports="$2" confirm_seconds="$3"
  if [ "$confirm_seconds" = 0 ]; then forget_dead_man; fi
  if is_as_wanted "$isolation" "$STAGE/$ports" && [ ! -d "$BEFORE" ] && is_captured; then return; fi
  [ "$(unit_property ActiveState)" = active ] && is_captured ||
    die $EXIT_NOT_READY 'istio.service does not run with its traffic redirected; onboard the machine again, which repairs it'
  if [ "$confirm_seconds" != 0 ]; then
    keep_enforcement
    remember_what_answers
    arm_dead_man $((confirm_seconds + 150))
  fi
  if [ -s "$STAGE/$ports" ] || [ -e "$STATE/exclude-ports" ]; then write_file "$ports" 0644 root:root bytes "$STATE/exclude-ports"; fi
  echo enforce >"$STAGE/enforce"
  case "$isolation" in
    enforce) write_file enforce 0644 root:root bytes "$STATE/enforce" ;;
    *) rm -f "$STATE/enforce" && sync_path "$STATE" || die $EXIT_FAILED "cannot remove $STATE/enforce" ;;
  esac
  commit_files
  if ! said="$("$CAPTURE" on 2>&1)"; then
    if [ "$confirm_seconds" != 0 ]; then fire_dead_man; fi
    die $EXIT_NOT_READY "the new redirection does not stand: ${said:-no word of why}; see /var/log/istio/istio.log"
  fi
  if [ "$confirm_seconds" != 0 ]; then set_deadline "$confirm_seconds"; fi
  changed "SetEnforcement $isolation"
}
