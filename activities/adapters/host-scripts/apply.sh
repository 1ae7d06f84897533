# One exec under the machine's lock. Arguments: operation, fence, step, `again` where a recorded result does not count, and
# the machine that this host is.
# Standard input is the tar: the plan, the files it names, and the two scripts that need no Meshlift.
apply() {
  operation="$1" fence="$2" step="$3" again="$4" owner="$5"
  # The result is written even when nobody listens any more: the next attempt reads it.
  trap '' HUP PIPE
  # A package may be larger than the memory that backs /run; everything else stays off the disk.
  case "$step" in installPackage*) STAGE="$STATE/stage.$$" ;; *) STAGE="$RUN/stage.$$" ;; esac
  open_journal
  # A refused or broken step leaves no stage behind; it may hold a token.
  trap 'rm -rf "$STAGE"' EXIT
  result="$STATE/results/$operation.$step"
  # The files come in before the lock is taken: a connection that was cut half-way must not keep the next attempt out.
  if ! is_known; then receive_plan; fi
  until take_lock 120; do open_journal; done
  trap 'rm -rf "$STAGE"; drop_empty_journal' EXIT
  drop_dead_stages
  if is_owned_by_other; then
    leave_to_owner
    return
  fi
  check_fence "$fence"
  if is_known; then
    answer "$result" "recorded${TAB}yes"
    return
  fi
  # A restore that ran meanwhile took everything along.
  [ -s "$STAGE/end" ] || die $EXIT_BUSY 'another exec on this machine took the files of this one away; it is tried again'
  refuse_closed
  if is_restore; then
    restore
    return
  fi
  install_scripts
  own_machine
  echo "$fence" >"$STATE/fence"
  remember_step "$operation" "$step" started
  tell_earlier
  follow_plan
  if [ -n "$is_of_unit" ]; then tell_invocation; fi
  keep_result
  remember_step "$operation" "$step" done
  answer "$STAGE/result"
}

# What is made anew by each attempt stands already where one was through: what that changed is part of the answer.
tell_earlier() {
  if [ "$again" != again ] || ! is_done; then return; fi
  while IFS="$TAB" read -r key value; do
    if [ "$key" = changed ]; then changed "$value"; fi
  done <"$result"
}

# On disk after all that it tells of; it counts once the step's end is remembered.
keep_result() {
  read_text "$STAGE/result"
  printf '%s' "${text#"$NEWLINE"}${text:+$NEWLINE}" >"$result" && with_lines "$unsynced_folders$result$NEWLINE" sync_path ||
    die $EXIT_FAILED "cannot write $result"
}

# The lines of a file, and one more where it is given.
answer() {
  read_text "$1"
  printf '%s\n' "$ANSWER_BEGINS$text" ${2:+"$2"} "$ANSWER_ENDS"
}

tell_invocation() {
  id="$(unit_property InvocationID)"
  if [ -n "$id" ]; then emit invocationId "$id" >>"$STAGE/result"; fi
}

is_restore() {
  [ -r "$STAGE/plan" ] && read -r first <"$STAGE/plan" && [ "$first" = Restore ]
}

# A fence that a restore closed is refused as well: a late exec of that operation must not write again.
check_fence() {
  read_fence
  [ "$1" -ge "$highest" ] || die $EXIT_FENCE "fence $1 is lower than $highest, the fence of a later operation on this machine"
  is_closed=
  if [ -r "$RUN/fence" ] && read -r closed state <"$RUN/fence" && [ "$closed $state" = "$1 closed" ]; then is_closed=yes; fi
}

# Two requests may claim one host under two names, even at once: the lock lets one of them be first, and it stays the owner.
is_owned_by_other() {
  [ -n "$owner" ] && [ -s "$STATE/owner" ] && read -r known_owner <"$STATE/owner" && [ "$known_owner" != "$owner" ]
}

# To take back its own changes is nothing to do for one that made none.
leave_to_owner() {
  is_restore ||
    die $EXIT_TAKEN "this host is another machine's already, see $STATE/owner there; offboard that one first"
  answer "$STAGE/result"
}

own_machine() {
  if [ -z "$owner" ] || [ -s "$STATE/owner" ]; then return; fi
  # Beside the scripts, which arrive staged; only root reads it.
  name_staged "$STATE/owner"
  printf '%s\n' "$owner" >"$staged" || die $EXIT_FAILED "cannot write $staged"
  prepare_file "$STATE/owner"
}

# An earlier attempt was through with this step.
is_known() { [ "$again" != again ] && is_done; }
is_done() { [ -e "$result" ] && grep -qxF "$operation$TAB$step${TAB}done" "$STATE/steps"; }

# Bounded as the attempt itself is: of a connection that was cut, this side may hear nothing.
receive_plan() {
  umask 077
  if ! timeout 300 tar -xpmf - -C "$STAGE" || [ ! -s "$STAGE/end" ]; then
    [ -d "$STAGE" ] || die $EXIT_BUSY 'another exec on this machine took the files of this one away; it is tried again'
    die $EXIT_FAILED 'the files did not arrive whole; nothing was changed'
  fi
  : >"$STAGE/result"
}

# Stages are named by the process that receives them.
drop_dead_stages() {
  for stage in "$RUN"/stage* "$STATE"/stage*; do
    if [ -e "$stage" ] && [ ! -d "/proc/${stage##*.}" ]; then rm -rf "$stage"; fi
  done
}

refuse_closed() {
  if [ -n "$is_closed" ] && ! is_restore; then
    die $EXIT_FENCE "this machine was restored at fence $fence already; a late exec of an operation that is over changes nothing"
  fi
}

# Nothing was changed and nothing will be undone: leave no folder behind.
drop_empty_journal() {
  if [ -d "$STATE" ] && [ ! -s "$STATE/journal" ] && [ ! -s "$STATE/steps" ]; then rm -rf "$STATE"; fi
}

# What works without Meshlift takes its place before, or together with, the first change.
install_scripts() {
  for script in "$STATE/undo.sh" "$STATE/bin/dead-man"; do
    name_staged "$script"
    if [ -e "$script" ] && cmp -s "$staged" "$script"; then continue; fi
    prepare_file "$script"
  done
}

follow_plan() {
  umask 022
  [ -w /etc ] || die $EXIT_FAILED '/etc is read-only; mount it read-write, then repeat the request'
  is_of_unit=
  while IFS="$TAB" read -r kind a b c d e <&3; do
    # Files that come one after the other are put in place together, before anything else is done.
    case "$kind" in
      WriteFile | WriteHostsBlock) ;;
      *) commit_files && is_of_unit=yes ;;
    esac
    case "$kind" in
      InstallPackage) install_package "$a" "$b" "$c" "$d" "$e" ;;
      WriteFile) prepare_write "$a" "$b" "$c" "$d" ;;
      WriteHostsBlock) prepare_hosts_block "$a" ;;
      StartProxy) start_proxy "$a" "$b" ;;
      SetEnforcement) set_enforcement "$a" "$b" "$c" ;;
      ConfirmCapture) confirm_capture ;;
      Hold) hold_machine "$a" ;;
      ReleaseHold) release_hold ;;
      StopCapture) stop_capture ;;
      StartCapture) start_capture ;;
      DrainProxy) drain_proxy ;;
      RestartProxy) restart_proxy "$a" ;;
      StopProxy) stop_proxy ;;
      *) die $EXIT_USAGE "unknown change $kind" ;;
    esac
  done 3<"$STAGE/plan"
  place_files
  tell_written
}

# Replays the journal backwards, by the same script that root can run. Only the fence outlives it, until the next boot.
restore() {
  entries="$(wc -l <"$STATE/journal")"
  if [ "$entries" -gt 0 ]; then
    name_staged "$STATE/undo.sh"
    cp "$staged" "$RUN/undo.sh"
    MESHLIFT_LOCKED=yes sh "$RUN/undo.sh" >&2
    case $? in
      0) ;;
      $EXIT_BUSY) die $EXIT_BUSY 'the package manager of this machine is busy since more than 60 s; what is left is taken back once it is done' ;;
      *) die $EXIT_FAILED "undo.sh could not put everything back; see above, mend it and offboard again" ;;
    esac
    changed "Restore $((entries)) journal entries"
  fi
  answer "$STAGE/result"
  rm -rf "$STAGE" "$STATE"
  find "$RUN" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  echo "$fence closed" >"$RUN/fence"
}
