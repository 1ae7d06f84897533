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
EXIT_TAKEN=76

open_journal() {
  umask 077
  if [ ! -d "$STATE/packages" ] || [ ! -d "$RUN" ]; then
    mkdir -p "$STATE/before" "$STATE/results" "$STATE/bin" "$STATE/packages" "$RUN" ||
      die $EXIT_FAILED "cannot make $STATE; see the message above"
  fi
  : >>"$STATE/journal" && : >>"$STATE/steps" || die $EXIT_FAILED "cannot write $STATE/journal"
}

# Waits a bounded time: a script of an earlier attempt may still run after its worker is gone.
take_lock() {
  exec 9>"$STATE/lock"
  flock -w "$1" 9 || die $EXIT_BUSY "another exec holds $STATE/lock since more than $1 s"
  # A restore that ran meanwhile took the folder along: the lock of a removed file guards nothing.
  [ "$STATE/lock" -ef /proc/self/fd/9 ]
}

# A small file's lines, without a process of its own.
read_text() {
  text=
  while IFS= read -r line; do text="$text$NEWLINE$line"; done <"$1"
}

# The journal's lines, read once: under the lock nobody else adds to them.
load_journal() {
  if [ -n "$is_journal_loaded" ]; then return; fi
  read_text "$STATE/journal"
  journal="$text"
  is_journal_loaded=yes
}
is_journal_loaded=

is_recorded() {
  load_journal
  case "$journal$NEWLINE" in *"$TAB$1$TAB$2$NEWLINE"*) return 0 ;; esac
  return 1
}

# Records an object once, with what stands there now; the copy and the line that names it are on disk before the object changes.
record() {
  note "$@"
  sync_journal
}

# Adds a line to the journal, which has to be on disk before the object changes.
note() {
  is_recorded "$1" "$2" && return
  last_entry="${journal##*"$NEWLINE"}"
  last_entry="${last_entry%%"$TAB"*}"
  entry=$((${last_entry:-0} + 1))
  kept="$STATE/before/$entry"
  if [ -e "$kept" ] || [ -L "$kept" ]; then rm -rf "$kept"; fi
  case "$1" in
    file | hosts) if [ -e "$2" ] || [ -L "$2" ]; then cp -a "$2" "$kept" || die $EXIT_FAILED "cannot keep a copy of $2"; fi ;;
    *) if [ -n "${3:-}" ]; then printf '%s\n' "$3" >"$kept"; fi ;;
  esac
  printf '%s\t%s\t%s\n' "$entry" "$1" "$2" >>"$STATE/journal" || die $EXIT_FAILED "cannot write $STATE/journal"
  journal="$journal$NEWLINE$entry$TAB$1$TAB$2"
  if [ -f "$kept" ] && [ ! -L "$kept" ]; then unsynced_copies="$unsynced_copies$kept$NEWLINE"; fi
  is_journal_unsynced=yes
}
unsynced_copies=
is_journal_unsynced=

sync_journal() {
  if [ -n "$is_journal_unsynced" ]; then with_lines "$unsynced_copies$STATE/journal$NEWLINE" sync_path; fi
  unsynced_copies= is_journal_unsynced=
}

sync_path() { sync "$@" 2>/dev/null || sync; }

# Calls a function with the lines of a text as its arguments; without lines it is not called.
with_lines() {
  lines="$1" call="$2"
  shift 2
  while [ -n "$lines" ]; do
    set -- "$@" "${lines%%"$NEWLINE"*}"
    lines="${lines#*"$NEWLINE"}"
  done
  [ $# -eq 0 ] || "$call" "$@"
}

# What the next commit puts in place, so that all of it waits for the disk once: a line a file with source, mode, owner and path,
# and a line a folder that is missing above them.
replacements=
missing_folders=

# Has a file put in place by the next commit: source, path, mode, owner.
prepare_file() { replacements="$replacements$1$TAB$3$TAB$4$TAB$2$NEWLINE"; }

# Has the folders above a path made by the next commit, each noted, those above first.
prepare_parents() {
  folder="${1%/*}"
  [ -n "$folder" ] && [ ! -d "$folder" ] || return 0
  case "$NEWLINE$missing_folders" in *"$NEWLINE$folder$NEWLINE"*) return ;; esac
  prepare_parents "$folder"
  folder="${1%/*}"
  note dir "$folder"
  missing_folders="$missing_folders$folder$NEWLINE"
}

make_folders() { mkdir -m 0755 "$@" || die $EXIT_FAILED "cannot make one of: $*"; }

# Puts every prepared file in place by temporary file, mode, owner, fsync, rename. The journal is on disk before any of it.
commit_files() {
  [ -n "$replacements" ] || return 0
  sync_journal
  with_lines "$missing_folders" make_folders
  missing_folders= temporaries= touched_folders=
  while IFS="$TAB" read -r from_file with_mode for_owner to_path <&4 && [ -n "$from_file" ]; do
    temporary="${to_path%/*}/.${to_path##*/}.meshlift"
    temporaries="$temporaries$temporary$NEWLINE" touched_folders="$touched_folders${to_path%/*}$NEWLINE"
    install -m "$with_mode" -o "${for_owner%%:*}" -g "${for_owner##*:}" "$from_file" "$temporary" || give_up "cannot write $to_path"
  done 4<<END
$replacements
END
  with_lines "$temporaries" sync_path
  while IFS="$TAB" read -r from_file with_mode for_owner to_path <&4 && [ -n "$from_file" ]; do
    mv -f "${to_path%/*}/.${to_path##*/}.meshlift" "$to_path" || give_up "cannot replace $to_path"
  done 4<<END
$replacements
END
  replacements=
  with_lines "$touched_folders" sync_path
}

drop_files() { rm -f "$@"; }

# Temporary files do not stay: they may hold a token.
give_up() {
  with_lines "$temporaries" drop_files
  die $EXIT_FAILED "$1"
}

# Puts one file in place at once: source, path, mode, owner.
replace_file() {
  prepare_file "$@"
  commit_files
}

remember_step() {
  read_text "$STATE/steps"
  case "$text" in
    *"$NEWLINE$1$TAB$2$TAB"*) ;;
    *)
      printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STATE/steps"
      return
      ;;
  esac
  while IFS="$TAB" read -r known_operation known_step known_result; do
    if [ "$known_operation $known_step" != "$1 $2" ]; then
      printf '%s\t%s\t%s\n' "$known_operation" "$known_step" "$known_result"
    fi
  done <"$STATE/steps" >"$STATE/steps.new"
  printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STATE/steps.new"
  mv -f "$STATE/steps.new" "$STATE/steps"
}
