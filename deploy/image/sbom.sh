#!/bin/sh
# List what an environment holds, as CycloneDX in JSON: `sbom.sh ENVIRONMENT OUTPUT`. Needs deploy/tools/setup.sh.
set -eu
tools=${DEPLOYMENT_TOOLS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/latigo/deployment-tools}
exec "$tools/venv/bin/cyclonedx-py" environment --output-reproducible --output-format JSON --output-file "$2" \
    "$1/bin/python"
