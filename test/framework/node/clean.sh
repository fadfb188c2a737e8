#!/bin/sh
# clean.sh DIR: waits until nobody writes to its standard input any more, which is when the
# test has ended, in whatever way, and then takes away all that clusters with their files in
# DIR have left on the machine: processes, mounts, network namespaces, cgroups.
set -u
dir=$1
cat >/dev/null

# Whoever was started with a file of DIR on its command line, containers' shims among them.
ours() { for p in /proc/[0-9]*; do
	pid=${p#/proc/}
	[ "$pid" = $$ ] || ! tr '\0' ' ' 2>/dev/null <"$p/cmdline" | grep -qF "$dir/" || echo "$pid"
done; }
for again in 1 2 3 4 5; do
	shims=$(ours)
	[ -n "$shims" ] || break
	for pid in $shims; do
		# A container's own processes are its shim's children.
		for child in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do kill -9 "$child" 2>/dev/null; done
		kill -9 "$pid" 2>/dev/null
	done
	sleep 0.2
done
# The last mount first: they stand within each other.
awk -v d="$dir/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | while read -r m; do umount -l "$m" 2>/dev/null; done
while read -r ns; do
	ip netns del "$ns" 2>/dev/null
done <"$dir/namespaces" 2>/dev/null
# What the CNI plugins made, which only the pods' names in it tell from others'.
for ns in $(ip netns list 2>/dev/null | awk '/^cni-/ {print $1}'); do
	grep -qxF "$ns" "$dir/before" 2>/dev/null || ip netns del "$ns" 2>/dev/null
done
ip link del fedns0 2>/dev/null
find /sys/fs/cgroup -depth -type d -path '*/fedns-nodes*' -exec rmdir {} + 2>/dev/null
while read -r key value; do
	echo "$value" >"/proc/sys/$key" 2>/dev/null
done <"$dir/sysctls" 2>/dev/null
rm -rf "$dir" "$0"
