#!/usr/bin/env bash
# Install the official client of the Timeseries API, against which the emulator is checked.
#
#   setup.sh [CACHE_DIR]
#
# CACHE_DIR defaults to $OMNIA_SDK_HOME, else ~/.cache/latigo/omnia-sdk; it gets CACHE_DIR/venv (about 60 MB).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "$here/../own_environment.sh" "$here/requirements.lock" "${1:-${OMNIA_SDK_HOME:-}}" omnia-sdk omnia_timeseries
