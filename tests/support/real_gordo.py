"""Where the real Gordo is, for tests that compare with it."""

import os
from pathlib import Path

from tests.support.lacking import lacking


def gordo_home() -> Path:
    """The folder that ``make gordo`` fills: ``venv`` with Gordo 6.0.4 on Python 3.10, ``data`` with its models."""
    if home := os.environ.get("REAL_GORDO_HOME"):
        return Path(home)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "latigo" / "real-gordo"


def require_gordo() -> Path:
    """The Python of the Gordo environment; where it is absent the test is skipped, and fails in CI."""
    python = gordo_home() / "venv" / "bin" / "python"
    if not python.exists():
        lacking(f"real Gordo is not installed in {gordo_home()} (make gordo)")
    return python
