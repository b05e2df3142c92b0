"""What CONTRIBUTING.md and the hooks name exists."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = [
    hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in repository["hooks"]
    if repository["repo"] == "local"
]
FOLDERS = ("src/", "tests/", "docs/", "deploy/", "benchmarks/", "chaos/")


def test_the_hooks_run_what_make_check_runs() -> None:
    assert {hook["language"] for hook in HOOKS} == {"system"}
    assert {hook["entry"]: hook["stages"] for hook in HOOKS} == {
        "make lint": ["pre-commit"],
        "make check": ["pre-push"],
    }


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_the_command_of_a_hook_exists(hook: dict[str, str]) -> None:
    subprocess.run([*hook["entry"].split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_and_folders_that_a_page_names_exist(page: str) -> None:
    named = re.findall(r"`([\w./-]+)`", (ROOT / page).read_text(encoding="utf-8"))
    paths = [path for path in named if path.startswith(FOLDERS)]

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
