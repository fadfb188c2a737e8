#!/bin/sh
# generate.sh CONTROLLER-GEN [-check]: makes of the types in internal/api/v1alpha1 their deep
# copies and the CustomResourceDefinitions in deploy, and copies for the chart what a chart
# can't read where it is; with -check, only says which of these aren't as they would be made.
set -eu
tool=$1 check=${2:-}
types=internal/api/v1alpha1
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$tool" object crd "paths=./$types" "output:object:dir=$made" "output:crd:dir=$made"
code=0
into() { # FILE: standard input is what it is to be
	cat >"$made/now"
	if [ -z "$check" ]; then
		cp "$made/now" "$1"
	elif ! diff -u "$1" "$made/now" >&2; then
		echo "$1 isn't what its source says: make generate, and commit it" >&2
		code=1
	fi
}
into $types/zz_generated.deepcopy.go <"$made/zz_generated.deepcopy.go"
for kind in clusters orders placements works agents; do
	{
		echo "# Made of the types in $types by make generate. fedctl init applies it."
		sed 1d "$made/fedns.io_$kind.yaml" # the first line is ---
	} >"$made/$kind"
	into deploy/$kind.yaml <"$made/$kind"
done
into deploy/charts/fedns/files/clusters.yaml <deploy/clusters.yaml
into deploy/charts/fedns/files/orders.yaml <deploy/orders.yaml
into deploy/charts/fedns/files/placements.yaml <deploy/placements.yaml
into deploy/charts/fedns/files/works.yaml <deploy/works.yaml
into deploy/charts/fedns/files/agents.yaml <deploy/agents.yaml
into deploy/charts/fedns/files/api-rights.yaml <internal/ctl/install/bootstrap/rights.yaml
into deploy/charts/fedns/files/member-rights.yaml <internal/ctl/install/membership/rights.yaml
into deploy/charts/fedns/files/rules.yaml <deploy/monitoring/rules.yaml
into deploy/charts/fedns/files/board.json <deploy/monitoring/board.json
exit $code
