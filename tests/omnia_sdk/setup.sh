#!/usr/bin/env bash
# Install the official client of the Timeseries API, against which the emulator is checked.
#
#   setup.sh [CACHE_DIR]
#
# CACHE_DIR defaults to $OMNIA_SDK_HOME, else ~/.cache/latigo/omnia-sdk; it gets CACHE_DIR/venv (about 60 MB). Run it
# as often as you like: what is up to date is left alone.
#
# Needs Python >= 3.11: $PYTHON, else the project's own, else python3.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-${OMNIA_SDK_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/latigo/omnia-sdk}}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

exec 9>"$cache/.lock"
if command -v flock >/dev/null; then
    flock 9 # one setup at a time
fi

own=$here/../../.venv/bin/python
python=${PYTHON:-python3}
if [ -z "${PYTHON:-}" ] && [ -x "$own" ]; then
    python=$own
fi

install_with_uv() {
    command -v uv >/dev/null || return 1
    rm -rf "$cache/venv"
    uv venv --quiet --python "$python" "$cache/venv" &&
        uv pip install --quiet --python "$cache/venv/bin/python" --no-deps -r "$here/requirements.lock"
}

install_with_pip() {
    rm -rf "$cache/venv"
    "$python" -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.lock"
}

want=$(sha256sum "$here/requirements.lock" | cut -d' ' -f1)
if [ "$(cat "$cache/venv/.ready" 2>/dev/null || true)" = "$want" ]; then
    echo "official client: up to date"
else
    echo "official client: installing with $("$python" --version)"
    install_with_uv || install_with_pip
    "$cache/venv/bin/python" -c 'import omnia_timeseries'
    echo "$want" >"$cache/venv/.ready"
fi
