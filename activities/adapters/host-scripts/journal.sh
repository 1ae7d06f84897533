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
EXIT_NO_TOKEN=77

open_journal() {
  umask 077
  if [ ! -d "$STATE/packages" ] || [ ! -d "$STAGE" ]; then
    mkdir -p "$STATE/before" "$STATE/results" "$STATE/bin" "$STATE/packages" "$RUN" "$STAGE" ||
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

# What the next commit puts in place, so that all of it waits for the disk once: a line a temporary name, two lines for each with
# temporary name and path, and a line a folder that is missing above them.
temporaries=
renames=
missing_folders=
unsynced_folders=

# Sets `temporary`, the name that a path's file bears before it takes its place, and `staged`, where it waits until then.
name_staged() {
  temporary="${1%/*}/.${1##*/}.meshlift"
  staged="$STAGE/files$temporary"
}

# Stages a file of this machine: source, path, mode, owner. Those of a plan arrive staged.
stage_file() {
  name_staged "$2"
  install -D -m "$3" -o "${4%%:*}" -g "${4##*:}" "$1" "$staged" || give_up "cannot stage $2"
}

# Has a staged file put in place by the next commit.
prepare_file() {
  name_staged "$1"
  temporaries="$temporaries$temporary$NEWLINE"
  renames="$renames$temporary$NEWLINE$1$NEWLINE"
  unsynced_folders="$unsynced_folders${1%/*}$NEWLINE"
}

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

# Puts every prepared file in place by temporary file with mode and owner, fsync, rename. The journal is on disk before any of it.
place_files() {
  [ -n "$renames" ] || return 0
  sync_journal
  if has perl; then by=place_by_perl; else by=place_by_tools; fi
  said="$(with_lines "$missing_folders--$NEWLINE$renames" "$by" 2>&1)" || give_up "cannot put the files in place: $said"
  temporaries= renames= missing_folders=
}

# One process for all files, whatever their modes and owners: each program that starts costs more than what it does here. Arguments:
# the missing folders, `--`, and temporary name and path of each file.
place_by_perl() {
  perl -e '
    my $stage = shift;
    while (defined(my $folder = shift)) {
      last if $folder eq "--";
      mkdir $folder and chmod 0755, $folder or die "$folder: $!\n";
    }
    umask 077;
    $/ = undef;
    my @temporaries = @ARGV[grep { $_ % 2 == 0 } 0 .. $#ARGV];
    for my $temporary (@temporaries) {
      my $staged = "$stage$temporary";
      open my $in, "<", $staged or die "$staged: $!\n";
      my ($mode, $user, $group) = (stat $in)[2, 4, 5];
      unlink $temporary;
      open my $out, ">", $temporary or die "$temporary: $!\n";
      print $out scalar <$in> and chown $user, $group, $out and chmod $mode & 07777, $out and close $out
        or die "$temporary: $!\n";
    }
    system("sync", @temporaries) == 0 or system("sync") == 0 or die "sync: $?\n";
    while (my ($temporary, $path) = splice @ARGV, 0, 2) { rename $temporary, $path or die "$path: $!\n" }
  ' "$STAGE/files" "$@"
}

# The same where there is no perl.
place_by_tools() {
  while [ "$1" != -- ]; do
    mkdir -m 0755 "$1" || return
    shift
  done
  shift
  umask 077
  with_lines "$temporaries" drop_files
  with_lines "$temporaries" copy_staged && with_lines "$temporaries" sync_path || return
  while [ $# -gt 0 ]; do
    mv -f "$1" "$2" || return
    shift 2
  done
}

copy_staged() { for temporary in "$@"; do cp -p "$STAGE/files$temporary" "$temporary" || return; done; }

# Places what is prepared and waits until the disk has it.
commit_files() {
  place_files
  with_lines "$unsynced_folders" sync_path
  unsynced_folders=
}

drop_files() { rm -f "$@"; }

# Temporary files do not stay: they may hold a token.
give_up() {
  with_lines "$temporaries" drop_files
  die $EXIT_FAILED "$1"
}

# Puts one file of this machine in place at once: source, path, mode, owner.
replace_file() {
  stage_file "$@"
  prepare_file "$2"
  commit_files
}

# A line for the start of a step and one for its end; the last one counts.
remember_step() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$STATE/steps"; }
