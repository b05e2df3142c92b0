#!/bin/sh
# Check the JSDoc types of the pages with tsc, in the version that package-lock.json pins. Without an npm, or where it cannot
# fetch tsc, nothing is checked, and that is said; in CI it is an error.
set -eu
cd "$(dirname "$0")"
skip() {
    echo "the types of the pages are not checked: $1" >&2
    test -z "${CI:-}"
    exit
}
command -v npm >/dev/null || skip "there is no npm"
if ! cmp -s package-lock.json node_modules/.lock; then
    npm ci --silent || skip "npm cannot fetch tsc"
    cp package-lock.json node_modules/.lock
fi
exec node_modules/.bin/tsc --project .
