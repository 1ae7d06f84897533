# The journal: what was there before each change, so that undo.sh can put it back without Meshlift.
# A line is `<number><TAB><kind><TAB><object>`; what stood there is kept under before/<number>.

# Closed set of exits, one per failure type of Meshlift.
die() {
  code="$1"
  shift
  printf 'meshlift: %s\n' "$*" >&2
  exit "$code"
}
EXIT_USAGE=64
EXIT_FAILED=70
EXIT_FENCE=71
EXIT_BUSY=72
EXIT_NOT_READY=74
EXIT_BROKEN=75

open_journal() {
  umask 077
  mkdir -p "$STATE/before" "$STATE/results" "$STATE/bin" "$STATE/packages" "$RUN" ||
    die $EXIT_FAILED "cannot make $STATE; see the message above"
  chmod 0700 "$STATE"
  touch "$STATE/journal" "$STATE/steps"
}

# Waits a bounded time: a script of an earlier attempt may still run after its worker is gone.
take_lock() {
  exec 9>"$STATE/lock"
  flock -w "$1" 9 || die $EXIT_BUSY "another exec holds $STATE/lock since more than $1 s"
  # A restore that ran meanwhile took the folder along: the lock of a removed file guards nothing.
  [ "$(stat -Lc %i "$STATE/lock" 2>/dev/null)" = "$(stat -Lc %i /dev/fd/9 2>/dev/null || stat -Lc %i /proc/self/fd/9)" ]
}

is_recorded() { awk -F '\t' -v kind="$1" -v object="$2" '$2 == kind && $3 == object { found = 1 } END { exit !found }' "$STATE/journal"; }

# Records an object once, with what stands there now; the copy is on disk before the line that names it.
record() {
  is_recorded "$1" "$2" && return
  number=$(($(tail -n 1 "$STATE/journal" | cut -f 1) + 1))
  rm -rf "$STATE/before/$number"
  case "$1" in
    file | hosts) if [ -e "$2" ] || [ -L "$2" ]; then cp -a "$2" "$STATE/before/$number" || die $EXIT_FAILED "cannot keep a copy of $2"; fi ;;
    *) if [ -n "${3:-}" ]; then printf '%s\n' "$3" >"$STATE/before/$number"; fi ;;
  esac
  printf '%s\t%s\t%s\n' "$number" "$1" "$2" >>"$STATE/journal" || die $EXIT_FAILED "cannot write $STATE/journal"
  sync_path "$STATE/journal"
}

sync_path() { sync "$1" 2>/dev/null || sync; }

# Folders above a path that are missing, each recorded.
make_parents() {
  parent="$(dirname "$1")"
  [ -d "$parent" ] && return
  make_parents "$parent"
  parent="$(dirname "$1")"
  record dir "$parent"
  mkdir -m 0755 "$parent" || die $EXIT_FAILED "cannot make $parent"
}

# Puts a file in place by temporary file, mode, owner, fsync, rename: source, path, mode, owner.
replace_file() {
  temporary="$(dirname "$2")/.$(basename "$2").meshlift"
  cp "$1" "$temporary" && chown "$4" "$temporary" && chmod "$3" "$temporary" && sync_path "$temporary" ||
    { rm -f "$temporary"; die $EXIT_FAILED "cannot write $2"; }
  mv -f "$temporary" "$2" || { rm -f "$temporary"; die $EXIT_FAILED "cannot replace $2"; }
  sync_path "$(dirname "$2")"
}

remember_step() {
  awk -F '\t' -v operation="$1" -v step="$2" '!($1 == operation && $2 == step)' "$STATE/steps" >"$STATE/steps.new"
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STATE/steps.new"
  mv -f "$STATE/steps.new" "$STATE/steps"
}
