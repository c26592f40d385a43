#!/bin/sh
# Makes, in network and mount namespaces of its own, a host and behind it an
# internet, whose servers are server.py and whose addresses are network_world_test.go's.
# Prints "ready", lives until its input ends, and leaves nothing.
#
#   unshare -nm sh world.sh DIRECTORY WEB LAN OWN HOP WEB6 OWN6 HOP6
set -e
dir=$1 web=$2 lan=$3 own=$4 hop=$5 web6=$6 own6=$7 hop6=$8

# The host's files, seen here alone.
mount --make-rprivate /
printf 'nameserver %s\nsearch corp.test\n' "$web" >"$dir/resolv.conf"
cp /etc/hosts "$dir/hosts"
printf '%s listed.hosts.test\n' "$web" >>"$dir/hosts"
mount --bind "$dir/resolv.conf" /etc/resolv.conf
mount --bind "$dir/hosts" /etc/hosts

# The internet is a namespace with one router that has every address.
mkfifo "$dir/quit"
# shellcheck disable=SC2016 # the inner shell expands it
unshare -n sh -c 'touch "$0/there"; cat "$0/quit" >/dev/null' "$dir" &
far=$!
while [ ! -e "$dir/there" ]; do sleep 0.02; done
ip link set lo up
ip link add host0 type veth peer name far0 netns $far
ip addr add "$own/30" dev host0
ip addr add "$own6/126" dev host0 nodad
ip link set host0 up
ip route add default via "$hop"
# shellcheck disable=SC2016 # as above
nsenter -t $far -n sh -ec '
	ip link set lo up
	ip addr add "$2/30" dev far0; ip addr add "$3/126" dev far0 nodad; ip link set far0 up
	ip addr add "$0/32" dev lo; ip addr add "$1/32" dev lo; ip addr add "$4/128" dev lo nodad' "$web" "$lan" "$hop" "$hop6" "$web6"
ip -6 route add default via "$hop6"
echo "0 0" >/proc/sys/net/ipv4/ping_group_range # where the host's user may send echo requests

python3 "$dir/server.py" 8000 &
near=$!
nsenter -t $far -n python3 "$dir/server.py" 80 "$web" "$lan" "$own" "$web6" &
others=$!
while [ ! -e "$dir/up-8000" ] || [ ! -e "$dir/up-80" ]; do sleep 0.02; done
echo ready
cat >/dev/null
kill $near $others
echo >"$dir/quit"
