#!/usr/bin/env bash
# Install what the benchmarks compare with and the product must not have: aioinflux with pandas.
#
#   setup.sh [CACHE_DIR]
#
# CACHE_DIR defaults to $BENCH_PEERS_HOME, else ~/.cache/latigo/bench-peers; it gets CACHE_DIR/venv (about 150 MB).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$here/requirements.lock
exec "$here/../../tests/own_environment.sh" "$lock" "${1:-${BENCH_PEERS_HOME:-}}" bench-peers "aioinflux, pandas"
