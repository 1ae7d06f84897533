#!/bin/sh
# Puts back what stood before traffic was redirected, or before the isolation was changed, unless Meshlift confirms in time that the
# machine still works.
# The deadline, in seconds of uptime, stands in /run/meshlift/dead-man; removing that file, or moving it away, disarms it.
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH
deadline_file=/run/meshlift/dead-man
# Whoever moves the deadline away decides: this script to here, a confirmation to elsewhere.
firing=/run/meshlift/dead-man.firing
state=/var/lib/meshlift

is_due() {
  read -r deadline <"$deadline_file" || return 1
  read -r up _ </proc/uptime
  [ "${up%%.*}" -ge "$deadline" ]
}

claim() { mv "$deadline_file" "$firing" 2>/dev/null || exit 0; }

claim_when_due() {
  while [ -e "$deadline_file" ]; do
    if is_due; then
      # Whoever confirms right now holds the lock; an exec that hangs with it must not keep the machine cut off.
      exec 9>"$state/lock"
      flock -w 10 9
      if is_due; then
        claim
        return
      fi
      exec 9>&-
    fi
    sleep 1
  done
  exit 0
}

# A run that was killed while it put things back goes on with that.
if [ "$1" = now ]; then
  claim
elif [ ! -e "$firing" ]; then
  claim_when_due
fi
# A change of the isolation alone is in there with what stood before it: the proxy runs on.
before=/run/meshlift/enforcement-before
if [ -d "$before" ]; then
  for name in enforce exclude-ports; do
    rm -f "$state/$name"
    if [ -e "$before/$name" ]; then cp -p "$before/$name" "$state/$name"; fi
  done
  "$state/bin/capture" on 9>&-
  rm -rf "$before"
else
  "$state/bin/capture" off
  systemctl disable --quiet istio.service 9>&-
  systemctl stop istio.service 9>&-
  rm -f /run/meshlift/start
fi
# What the journal remembers of the change is true no more: a retry must make it again.
rm -f "$state"/results/*.startProxy "$state"/results/*.confirmCapture "$state"/results/*.setEnforcement-*
echo fired >"$state/dead-man-fired"
rm -f "$firing"
