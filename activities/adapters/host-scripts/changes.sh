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

write_file() {
  source="$STAGE/$1" mode="$2" owner="$3" comparison="$4" path="$5"
  if is_file_there "$source" "$path" "$mode" "$owner" "$comparison"; then return; fi
  make_parents "$path"
  record file "$path"
  replace_file "$source" "$path" "$mode" "$owner"
  changed "WriteFile $path"
}

# Everything of /etc/hosts but our block.
hosts_without_block() { awk '/^# BEGIN meshlift$/ { inside = 1 } !inside { print } /^# END meshlift$/ { inside = 0 }' "$1"; }

write_hosts_block() {
  hosts_without_block /etc/hosts >"$STAGE/hosts"
  if [ ! -s "$STAGE/$1" ]; then
    grep -q '^# BEGIN meshlift$' /etc/hosts || return 0
  else
    { echo '# BEGIN meshlift' && cat "$STAGE/$1" && echo '# END meshlift'; } >>"$STAGE/hosts"
  fi
  if cmp -s "$STAGE/hosts" /etc/hosts; then return; fi
  record hosts /etc/hosts
  replace_file "$STAGE/hosts" /etc/hosts "$(stat -c %a /etc/hosts)" "$(stat -c %U:%G /etc/hosts)"
  changed 'WriteHostsBlock /etc/hosts'
}
