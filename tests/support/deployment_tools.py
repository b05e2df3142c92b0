"""What checks the files of ``deploy/``, in an environment of its own; see ``deploy/tools``."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.lacking import lacking
from tests.support.process import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
_WITHIN_S = 600.0


def tool(name: str) -> str:
    """The path of one of its programs; where they are absent the test is skipped, and fails in CI."""
    home = os.environ.get("DEPLOYMENT_TOOLS_HOME")
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latigo" / "deployment-tools"
    environment = (Path(home) if home else cache_home) / "venv"
    if not (environment / ".ready").exists() or not (environment / "bin" / "kubectl").exists():
        lacking(f"the tools of deploy/ are not installed in {environment} (deploy/tools/setup.sh)")
    return str(environment / "bin" / name)


@cache
def rendered(folder: Path) -> str:
    """The manifests of a folder, as ``kubectl kustomize`` prints them."""
    made = subprocess.run(
        [tool("kubectl"), "kustomize", folder], capture_output=True, text=True, timeout=_WITHIN_S, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == "", "something deprecated"
    return made.stdout


def resources(folder: Path) -> dict[str, dict[str, Any]]:
    """What a folder renders, by ``KIND/NAME``, the digest of a generated name left out."""
    found = {}
    for each in yaml.safe_load_all(rendered(folder)):
        name = each["metadata"]["name"]
        found[f"{each['kind']}/{name.rsplit('-', 1)[0] if each['kind'] == 'ConfigMap' else name}"] = each
    return found


def validated(manifests: str, *versions: str) -> list[dict[str, Any]]:
    """What ``deploy/tools/validate.py`` found, resource by resource."""
    script = ROOT / "deploy" / "tools" / "validate.py"
    ran = subprocess.run(
        [tool("python"), script, *versions],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert ran.stderr == ""
    found: list[dict[str, Any]] = json.loads(ran.stdout)["resources"]
    assert ran.returncode == any(each["errors"] for each in found)
    return found
