#!/bin/sh
# One machine: its own mounts, processes and hostname, its own sshd on a loopback port. Runs below unshare and ends with it.
# Arguments: name, port, folder of the machine, its /run, lower layers, the cgroup that its processor time is counted in.
set -eu
name=$1 port=$2 folder=$3 run=$4 lower=$5 group=$6
echo 0 >"$group/cgroup.procs"
hostname "$name"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" "$folder/merged"
mount -t proc proc "$folder/merged/proc"
mount --rbind /dev "$folder/merged/dev"
mount --bind "$run" "$folder/merged/run"
mkdir -m 0755 "$run/sshd"
exec chroot "$folder/merged" /usr/sbin/sshd -D -e -p "$port" -o ListenAddress=127.0.0.1 -o MaxStartups=100
