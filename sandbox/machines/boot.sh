#!/bin/sh
# Boots one machine, and boots it again each time it reboots. Runs in a mount namespace of its own, so that the overlay goes
# with the last process and the host sees none of nspawn's folders under /run/systemd.
# Arguments: name, folder of the machine, shared root, unpacked tools, bridge, and the machine's cgroups.
set -eu
name=$1 folder=$2 root=$3 tools=$4 bridge=$5
shift 5
mount -t tmpfs tmpfs /run/systemd
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" "$folder/merged"
# What nspawn links to lies beside it; the pattern stands for the architecture's folder.
libraries=$(echo "$tools"/usr/lib/*-linux-gnu)
LD_LIBRARY_PATH=$libraries/systemd:$libraries
export LD_LIBRARY_PATH

# shellcheck disable=SC2016 # expanded by the inner shell, whose own process id moves into the cgroups
enter='while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
while :; do
  status=0
  sh -c "$enter" enter "$@" -- "$tools/usr/bin/systemd-nspawn" --boot --directory="$folder/merged" --machine="$name" \
    --network-bridge="$bridge" --register=no --keep-unit --settings=no --resolv-conf=off --timezone=off --link-journal=no \
    --console=pipe --kill-signal=SIGRTMIN+3 || status=$?
  # With --keep-unit a reboot inside ends nspawn with 133.
  [ "$status" -eq 133 ] || exit "$status"
done
