#!/usr/bin/env bash
# The first process of a room: a set of namespaces (network, mounts, processes, host name) in which a node or
# the world's services live. Everything in the room ends with this process, and the kernel takes the
# namespaces, mounts and links back. Its command line is how lib/room.mjs finds it again.
#   room.sh INSTANCE_DIR ROOM RESOLV_CONF READY_FILE
set -euo pipefail
room=$2 resolv_conf=$3 ready_file=$4

hostname "$room"
ip link set lo up

# Default paths (/run/attestmesh, /run/wireguard, /var/run/dstack.sock) are the room's own. The file behind
# /etc/resolv.conf may live in /run.
mount -t tmpfs -o mode=755,size=64m tmpfs /run
resolver=$(readlink -m /etc/resolv.conf)
if [[ $resolver == /run/* ]]; then
  mkdir -p "$(dirname "$resolver")"
  : >"$resolver"
fi
mount --bind "$resolv_conf" "$resolver"

# What /sys shows of the network is that of whoever mounted it.
mount -t sysfs sysfs /sys

: >"$ready_file"
# bash reaps orphans as an init must.
sleep infinity &
wait
