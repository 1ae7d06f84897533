# Installing the proxy's package, deb or rpm; what the package's scripts make is recorded before they run.
installed_version() {
  if has dpkg-query; then
    dpkg-query -W -f '${db:Status-Abbrev}\t${Version}\n' "$1" 2>/dev/null | awk -F '\t' '/^.i/ { print $2 }'
  else
    # A package that is not there is told on standard output as well.
    if rpm -q "$1" >/dev/null 2>&1; then rpm -q --qf '%{VERSION}' "$1"; fi
  fi
}

# Names that a package needs and that are not installed; of a deb's alternatives one is enough.
missing_dependencies() {
  case "$1" in
    *.rpm)
      rpm -U --test --oldpackage "$1" 2>&1 | sed -n 's/^[[:space:]]*\(.*\) is needed by .*/\1/p' | tr '\n' ',' | sed 's/,$//'
      return
      ;;
  esac
  dpkg-deb -f "$1" Depends | tr ',' '\n' | while read -r wanted; do
    [ -n "$wanted" ] || continue
    for name in $(echo "$wanted" | sed 's/([^)]*)//g; s/:[a-z]*//g' | tr '|' ' '); do
      if [ -n "$(installed_version "$name")" ]; then continue 2; fi
    done
    echo "$wanted"
  done | tr '\n' ',' | sed 's/,$//'
}

record_package() {
  getent group istio-proxy >/dev/null || record group istio-proxy
  getent passwd istio-proxy >/dev/null || record user istio-proxy
  for tree in /var/lib/istio /var/log/istio /etc/certs; do
    if [ ! -e $tree ]; then
      record tree $tree
    else
      record owner $tree "$(stat -c '%u:%g %a' $tree)"
    fi
  done
  [ -e /etc/istio ] || [ -L /etc/istio ] || record link /etc/istio
  # Written by the proxy itself, into a folder that others may use as well.
  for agent_file in key.pem cert-chain.pem root-cert.pem; do is_recorded tree /etc/certs || record file "/etc/certs/$agent_file"; done
  [ -n "$(installed_version "$1")" ] || record package "$1"
}

# A package manager that is at work is waited for.
run_installer() {
  tries=0
  until "$@" >"$STAGE/installer" 2>&1 9>&-; do
    # The last lines may not say it.
    grep -i 'no space left on device' "$STAGE/installer" >&2
    grep -qiE 'locked by another|transaction lock' "$STAGE/installer" || die $EXIT_FAILED "$1 failed: $(tail -n 3 "$STAGE/installer" | tr '\n' ' ')"
    tries=$((tries + 1))
    [ $tries -lt 60 ] || die $EXIT_BUSY "the package manager of this machine is busy since more than 60 s"
    sleep 1
  done
}

install_package() {
  source="$STAGE/$1" name="$2" version="$3" digest="$4" file="$5"
  # A packager's iteration, as in 1.30.0-1, is the same version.
  previous="$(installed_version "$name")"
  case "$(echo "$previous" | sed 's/-[0-9]*$//')" in "$version") return ;; esac
  # Its file is not at hand, so an undo could not put it back.
  [ -z "$previous" ] || is_recorded package "$name" ||
    die $EXIT_FAILED "$name $previous is installed and is not Meshlift's to replace; remove that package, or install $version of it"
  [ "$(sha256sum <"$source" | cut -d ' ' -f 1)" = "$digest" ] || die $EXIT_FAILED "$file did not arrive whole: its sha256 differs"
  record_package "$name"
  # The file of the version that stands stays as well, for a way back.
  for kept in "$STATE"/packages/*; do
    case "$kept" in */"$name-$previous".deb | */"$name-$previous".rpm) ;; *) rm -f "$kept" ;; esac
  done
  mv "$source" "$STATE/packages/$file"
  missing="$(missing_dependencies "$STATE/packages/$file")"
  [ -z "$missing" ] || die $EXIT_FAILED "package $name needs packages that this machine lacks: $missing; install them first"
  case "$file" in
    *.rpm) run_installer rpm -U --oldpackage "$STATE/packages/$file" ;;
    *)
      DEBIAN_FRONTEND=noninteractive
      export DEBIAN_FRONTEND
      run_installer dpkg -i --force-confold "$STATE/packages/$file"
      ;;
  esac
  systemctl daemon-reload 2>/dev/null
  changed "InstallPackage $name $version"
}
