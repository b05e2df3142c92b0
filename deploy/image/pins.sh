#!/bin/sh
# Write the digests of the images that FILES name next to their tags, or newer ones: `pins.sh FILE...`. Needs docker.
set -eu
command -v docker >/dev/null || { echo "pins.sh: docker is not installed, and nothing else knows the digests" >&2; exit 1; }

named='s/^\(FROM\| *image:\) \([a-z0-9][a-z0-9./-]*:[A-Za-z0-9._-]*\).*/\2/p'
for image in $(sed -n "$named" "$@" | sort -u); do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    case $digest in
    sha256:*) ;;
    *) echo "pins.sh: $image has no digest: $digest" >&2 && exit 1 ;;
    esac
    sed -i "s#^\(FROM\| *image:\) $image\(@sha256:[0-9a-f]*\)\{0,1\}#\1 $image@$digest#" "$@"
    echo "$image@$digest"
done
