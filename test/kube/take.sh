#!/bin/sh
# take.sh BIN: copies what there is of a control plane in $KUBEBUILDER_ASSETS (as envtest
# has it) to BIN, and prints the options by which make leaves it as it is. The rest is
# built. Without that variable, everything is.
#
# Copies, and old ones, so that make without the variable builds the pinned versions in
# their place: of a link, make looks at the time of the file behind it, which is somebody
# else's, and may go.
set -eu
dir=${KUBEBUILDER_ASSETS:-}
[ -n "$dir" ] || exit 0
bin=$1

if [ ! -d "$dir" ]; then
	echo "KUBEBUILDER_ASSETS=$dir: there is no such folder" >&2
	exit 1
fi
mkdir -p "$bin"
[ ! "$dir" -ef "$bin" ] || exit 0 # what was built here
taken=
for p in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl; do
	[ -f "$dir/$p" ] || continue
	case $p in
	kubectl) version=$("$dir/$p" version --client 2>&1) ;;
	*) version=$("$dir/$p" --version 2>&1) ;;
	esac || {
		echo "KUBEBUILDER_ASSETS=$dir: $p can't be run here: $(echo "$version" | head -n 1)" >&2
		exit 1
	}
	if ! cmp -s "$dir/$p" "$bin/$p"; then
		cp "$dir/$p" "$bin/$p.new"
		mv "$bin/$p.new" "$bin/$p"
	fi
	touch -t 197001020000 "$bin/$p"
	echo "$p: taken from $dir ($(echo "$version" | head -n 1))" >&2
	taken="$taken -o $bin/$p"
done
if [ -z "$taken" ]; then
	echo "KUBEBUILDER_ASSETS=$dir: has no etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kubectl" >&2
	echo "hint: setup-envtest use -p path prints the folder that has them" >&2
	exit 1
fi
echo "$taken"
