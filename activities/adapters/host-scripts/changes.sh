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

# Has one file written by the next commit: source, mode, owner, comparison, path.
prepare_write() {
  if is_file_there "$STAGE/$1" "$5" "$2" "$3" "$4"; then return; fi
  prepare_parents "$5"
  note file "$5"
  prepare_file "$STAGE/$1" "$5" "$2" "$3"
  changed "WriteFile $5"
  written="$written$5$NEWLINE"
}
written=

# Digests of what was written, read back from there.
tell_written() { with_lines "$written" digest_files >>"$STAGE/result"; }
digest_files() {
  sha256sum "$@" >"$STAGE/digests"
  while IFS= read -r line; do emit written "$line"; done <"$STAGE/digests"
}

write_file() {
  prepare_write "$@"
  commit_files
}

# Everything of /etc/hosts but our block.
hosts_without_block() { awk '/^# BEGIN meshlift$/ { inside = 1 } !inside { print } /^# END meshlift$/ { inside = 0 }' "$1"; }

# Has the block written by the next commit.
prepare_hosts_block() {
  hosts_without_block /etc/hosts >"$STAGE/hosts"
  if [ ! -s "$STAGE/$1" ]; then
    grep -q '^# BEGIN meshlift$' /etc/hosts || return 0
  else
    { echo '# BEGIN meshlift' && cat "$STAGE/$1" && echo '# END meshlift'; } >>"$STAGE/hosts"
  fi
  if cmp -s "$STAGE/hosts" /etc/hosts; then return; fi
  note hosts /etc/hosts
  as_found="$(stat -c '%a %U:%G' /etc/hosts)"
  prepare_file "$STAGE/hosts" /etc/hosts "${as_found%% *}" "${as_found#* }"
  changed 'WriteHostsBlock /etc/hosts'
}
