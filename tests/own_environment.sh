#!/usr/bin/env bash
# Install packages that must not be in the project's own environment, in one of their own.
#
#   own_environment.sh LOCKFILE CACHE_DIR NAME MODULES
#
# CACHE_DIR may be empty, for ~/.cache/latigo/NAME; it gets CACHE_DIR/venv. MODULES are imported to see that they work. Run
# it as often as you like: what is up to date is left alone.
#
# Needs Python >= 3.11: $PYTHON, else the project's own, else python3.
set -euo pipefail

lock=$1 name=$3 modules=$4
cache=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/latigo/$name}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

exec 9>"$cache/.lock"
if command -v flock >/dev/null; then
    flock 9 # one setup at a time
fi

own=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv/bin/python
python=${PYTHON:-python3}
if [ -z "${PYTHON:-}" ] && [ -x "$own" ]; then
    python=$own
fi

install_with_uv() {
    command -v uv >/dev/null || return 1
    rm -rf "$cache/venv"
    uv venv --quiet --python "$python" "$cache/venv" &&
        uv pip install --quiet --python "$cache/venv/bin/python" --no-deps -r "$lock"
}

install_with_pip() {
    rm -rf "$cache/venv"
    "$python" -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$lock"
}

want=$(sha256sum "$lock" | cut -d' ' -f1)
if [ "$(cat "$cache/venv/.ready" 2>/dev/null || true)" = "$want" ]; then
    echo "$name: up to date"
else
    echo "$name: installing with $("$python" --version)"
    install_with_uv || install_with_pip
    "$cache/venv/bin/python" -c "import $modules"
    echo "$want" >"$cache/venv/.ready"
fi
