#!/usr/bin/env bash
# Resolve the pinned versions of the tools again (needs uv).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate "$@"
}
{ compile requirements.in && compile --no-deps kubectl.in; } >requirements.lock
