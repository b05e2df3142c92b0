"""The syntax of Latigo's own modules, for tests that read the code."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import latigo
from latigo.runtime.collector import collector_paused

SOURCE = Path(latigo.__file__).parent


@cache
def syntax() -> Mapping[Path, ast.Module]:
    """Return the tree of each module: parsed once for all tests of a process, which takes longer than to walk it."""
    with collector_paused():
        return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(SOURCE.rglob("*.py"))}
