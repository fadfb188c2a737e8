#!/bin/sh
# build.sh NFPM VERSION ARCH OUT: makes the Debian package of one architecture in OUT, the same
# to the byte whenever it is made of one commit.
set -eu
nfpm=$1 version=$2 ARCH=$3 out=$4
# Debian's versions begin with a number; one that is none, of a commit, is before all that are. What
# follows a tag, as in v0.2.0-3-gabc, is behind it.
VERSION=$(printf %s "${version#v}" | sed -e '/^[0-9][0-9]*\./!s/^/0~/' -e 's/-/+/g')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
BUILT=$(mktemp -d)
trap 'rm -rf "$BUILT"' EXIT
export VERSION ARCH BUILT SOURCE_DATE_EPOCH
for p in fedns fedsync fedctl; do
	CGO_ENABLED=0 GOARCH=$ARCH go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$BUILT/$p" "./cmd/$p"
done
for shell in bash zsh fish; do go run ./cmd/fedctl completion $shell >"$BUILT/completion.$shell"; done
go run ./test/tools/man "$BUILT/man"
gzip -9n "$BUILT"/man/*
gzip -9nc CHANGELOG.md >"$BUILT/changelog.gz"
chmod -R u=rwX,go=rX "$BUILT"
find "$BUILT" -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
# nfpm takes variables in some of its fields only.
sed -e "s|\${BUILT}|$BUILT|g" -e "s|\${VERSION}|$VERSION|g" -e "s|\${ARCH}|$ARCH|g" deploy/debian/nfpm.yaml >"$BUILT/nfpm.yaml"
mkdir -p "$out"
"$nfpm" package -f "$BUILT/nfpm.yaml" -p deb -t "$out/"
