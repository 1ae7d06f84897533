# One exec under the machine's lock. Arguments: operation, fence, step, and `again` where a recorded result does not count.
# Standard input is the tar: the plan, the files it names, and the two scripts that need no Meshlift.
apply() {
  operation="$1" fence="$2" step="$3" again="$4"
  # The result is written even when nobody listens any more: the next attempt reads it.
  trap '' HUP PIPE
  open_journal
  until take_lock 120; do open_journal; done
  # A package may be larger than the memory that backs /run; everything else stays off the disk.
  case "$step" in installPackage*) STAGE="$STATE/stage" ;; *) STAGE="$RUN/stage" ;; esac
  # A refused or broken step leaves no stage behind; it may hold a token.
  trap 'rm -rf "$STAGE"; drop_empty_journal' EXIT
  check_fence "$fence"
  result="$STATE/results/$operation.$step"
  if [ -e "$result" ] && [ "$again" != again ]; then
    { cat "$result" && emit recorded yes; } | to_json
    return
  fi
  receive_plan "$fence"
  if [ "$(head -n 1 "$STAGE/plan")" = Restore ]; then
    restore
    return
  fi
  install_scripts
  echo "$fence" >"$STATE/fence"
  remember_step "$operation" "$step" started
  follow_plan
  id="$(unit_property InvocationID)"
  if [ -n "$id" ]; then emit invocationId "$id" >>"$STAGE/result"; fi
  cp "$STAGE/result" "$result.new" && mv -f "$result.new" "$result" && sync_path "$result" || die $EXIT_FAILED "cannot write $result"
  remember_step "$operation" "$step" done
  to_json <"$STAGE/result"
}

# A fence that a restore closed is refused as well: a late exec of that operation must not write again.
check_fence() {
  known="$(read_fence)"
  [ "$1" -ge "$known" ] || die $EXIT_FENCE "fence $1 is lower than $known, the fence of a later operation on this machine"
  closed="$(awk '$2 == "closed" { print $1 }' "$RUN/fence" 2>/dev/null)"
  if [ -n "$closed" ] && [ "$1" = "$closed" ]; then is_closed=yes; else is_closed=; fi
}

receive_plan() {
  umask 077
  rm -rf "$RUN/stage" "$STATE/stage"
  mkdir -p "$STAGE"
  tar -xf - -C "$STAGE" || die $EXIT_FAILED 'the files did not arrive whole; nothing was changed'
  [ -s "$STAGE/end" ] || die $EXIT_FAILED 'the files did not arrive whole; nothing was changed'
  : >"$STAGE/result"
  if [ -n "$is_closed" ] && [ "$(head -n 1 "$STAGE/plan")" != Restore ]; then
    die $EXIT_FENCE "this machine was restored at fence $1 already; a late exec of an operation that is over changes nothing"
  fi
}

# Nothing was changed and nothing will be undone: leave no folder behind.
drop_empty_journal() {
  if [ -d "$STATE" ] && [ ! -s "$STATE/journal" ] && [ ! -s "$STATE/steps" ]; then rm -rf "$STATE"; fi
}

install_scripts() {
  for script in undo.sh bin/dead-man; do
    cmp -s "$STAGE/$(basename $script)" "$STATE/$script" || replace_file "$STAGE/$(basename $script)" "$STATE/$script" 0700 root:root
  done
}

follow_plan() {
  umask 022
  while IFS="$TAB" read -r kind a b c d e <&3; do
    case "$kind" in
      InstallPackage) install_package "$a" "$b" "$c" "$d" "$e" ;;
      WriteFile) write_file "$a" "$b" "$c" "$d" "$e" ;;
      WriteHostsBlock) write_hosts_block "$a" ;;
      StartProxy) start_proxy "$a" "$b" ;;
      ConfirmCapture) confirm_capture ;;
      StopProxy) stop_proxy ;;
      *) die $EXIT_USAGE "unknown change $kind" ;;
    esac
  done 3<"$STAGE/plan"
}

# Replays the journal backwards, by the same script that root can run. Only the fence outlives it, until the next boot.
restore() {
  entries="$(wc -l <"$STATE/journal")"
  if [ "$entries" -gt 0 ]; then
    cp "$STAGE/undo.sh" "$RUN/undo.sh"
    MESHLIFT_LOCKED=yes sh "$RUN/undo.sh" >&2
    case $? in
      0) ;;
      $EXIT_BUSY) die $EXIT_BUSY 'the package manager of this machine is busy since more than 60 s; what is left is taken back once it is done' ;;
      *) die $EXIT_FAILED "undo.sh could not put everything back; see above, mend it and offboard again" ;;
    esac
    changed "Restore $((entries)) journal entries"
  fi
  to_json <"$STAGE/result"
  rm -rf "$STAGE" "$STATE"
  find "$RUN" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  echo "$fence closed" >"$RUN/fence"
}
