#!/bin/sh
# Remove from an environment what no running Latigo uses: `trim.sh TARGET`.
set -eu
cd "$1"
packages=$(echo lib/python3*/site-packages)

# What installs packages.
rm -rf "$packages"/pip "$packages"/pip-*.dist-info "$packages"/setuptools* "$packages"/pkg_resources bin/pip* bin/Activate.ps1
rm -f bin/activate*

# Tests and sources of packages, and what their own users would compile or check types against.
find "$packages" -depth -type d \( -name tests -o -name test -o -name include \) \
    -path "*/site-packages/*/*" -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.h' -o -name '*.c' \
    -o -name '*.a' \) -delete
rm -rf "$packages"/pyarrow/src "$packages"/numpy/f2py "$packages"/numpy/distutils \
    "$packages"/sqlalchemy/testing "$packages"/alembic/testing "$packages"/greenlet/platform

# Parts of Arrow that talk to other systems (Flight, S3); pyarrow works without them, and nothing else is linked to them.
arrow="$packages/pyarrow"
rm -f "$arrow"/libarrow_flight.so* "$arrow"/libarrow_python_flight.so* "$arrow"/_flight.*.so "$arrow"/flight.py \
    "$arrow"/libarrow_s3.so* "$arrow"/_s3fs.*.so "$arrow"/_pyarrow_cpp_tests.*.so "$arrow"/libarrow_python*encryption.so*
# The wheel has these three times: under the name that is loaded, and under two that only a linker asks for.
for library in "$arrow"/libarrow*.so.*[0-9]; do
    case ${library##*.so.} in
    *.*) rm -f "$library" "${library%.so.*}.so" ;;
    esac
done

# What only a debugger reads. Libraries that a wheel has bundled (NAME.libs) were patched, and do not survive it.
find "$packages" -type f -name "*.so*" ! -path "*.libs/*" -exec strip --strip-debug {} + 2>/dev/null || true
