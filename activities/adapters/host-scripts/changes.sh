# Each change of an apply: read, compare, record, write only where it differs. What was changed goes to the step's result.
changed() { emit changed "$1" >>"$STAGE/result"; }

holds_certificates() {
  certificates_of "$1" >"$STAGE/wanted"
  certificates_of "$2" >"$STAGE/found"
  [ -s "$STAGE/wanted" ] && ! grep -vxqFf "$STAGE/found" "$STAGE/wanted"
}

# Whether a file is as wanted: source, path, mode, owner, comparison.
is_file_there() {
  [ -f "$2" ] && [ ! -L "$2" ] || return 1
  case "$5" in
    certificateSet) holds_certificates "$1" "$2" ;;
    *) cmp -s "$1" "$2" && [ "$(stat -c '%a %U:%G' "$2")" = "${3#0} $4" ] ;;
  esac
}

# Has one staged file written by the next commit: mode, owner, comparison, path.
prepare_write() {
  name_staged "$4"
  if is_file_there "$staged" "$4" "$1" "$2" "$3"; then return; fi
  # tar gives a file to root where this machine does not know its owner.
  if [ "$2" != root:root ] && [ -O "$staged" ]; then die $EXIT_FAILED "cannot write $4: this machine has no user ${2%%:*}"; fi
  prepare_parents "$4"
  note file "$4"
  prepare_file "$4"
  changed "WriteFile $4"
  written="$written$4$NEWLINE"
}
written=

# Digests of what was written, read back from there.
tell_written() { with_lines "$written" digest_files >>"$STAGE/result"; }
digest_files() {
  sha256sum "$@" >"$STAGE/digests"
  while IFS= read -r line; do emit written "$line"; done <"$STAGE/digests"
}

# Writes one file of the stage at once: source, mode, owner, comparison, path.
write_file() {
  stage_file "$STAGE/$1" "$5" "$2" "$3"
  prepare_write "$2" "$3" "$4" "$5"
  commit_files
}

# A hosts file with these lines as our block, or without a block where there are none: the file, the lines. Fails where it reads so
# already.
hosts_with_block() {
  awk '
    FILENAME == ARGV[1] { block = block $0 "\n"; next }
    { found = found $0 "\n" }
    /^# BEGIN meshlift$/ { inside = 1 }
    !inside { wanted = wanted $0 "\n" }
    /^# END meshlift$/ { inside = 0 }
    END {
      if (block != "") wanted = wanted "# BEGIN meshlift\n" block "# END meshlift\n"
      printf "%s", wanted
      exit wanted == found
    }' "$2" "$1"
}

# Has the block written by the next commit.
prepare_hosts_block() {
  if [ ! -s "$STAGE/$1" ] && ! grep -q '^# BEGIN meshlift$' /etc/hosts; then return; fi
  name_staged /etc/hosts
  [ -d "${staged%/*}" ] || mkdir -p "${staged%/*}"
  # The copy keeps mode and owner, whatever is written into it.
  cp -pL /etc/hosts "$staged" || die $EXIT_FAILED 'cannot read /etc/hosts'
  hosts_with_block /etc/hosts "$STAGE/$1" >"$staged" || return 0
  note hosts /etc/hosts
  prepare_file /etc/hosts
  changed 'WriteHostsBlock /etc/hosts'
}
