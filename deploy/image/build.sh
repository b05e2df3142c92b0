#!/bin/sh
# Build the environment of the image: `build.sh SOURCE TARGET`. The Dockerfile runs this, and so does a test, in a system
# that has nothing but Python (with venv) and strip.
#
# SOURCE is a checkout, TARGET the folder that the image has it in. Two builds of the same SOURCE with the same versions
# of Python are equal, but for the times of files; SOURCE_DATE_EPOCH (seconds) sets those as well.
set -eu
source=$(cd "$1" && pwd)
target=$2
python=${PYTHON:-python3}
distribution=gordo-latigo
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1

"$python" -m venv "$target"
"$target/bin/python" -m pip install --quiet --require-hashes --only-binary :all: \
    -r "$source/${REQUIREMENTS:-requirements-image.txt}"
# As a wheel from a folder that is gone afterwards: installed from a path, the path would be in the image.
wheels=$(mktemp -d)
"$target/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$source"
"$target/bin/python" -m pip install --quiet --no-deps --no-index --find-links "$wheels" "$distribution"
rm -rf "$wheels"
sh "$source/deploy/image/trim.sh" "$target"
# By content and not by time: the same octets in every build, and nothing to check at start.
"$target/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$target"/lib/python3*/site-packages
if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
    find "$target" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
fi
