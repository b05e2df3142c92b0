"""Where the data of SKAB are, the Skoltech Anomaly Benchmark; its licence keeps them out of this repository."""

import os
from pathlib import Path

import pytest

SKAB = Path(os.environ.get("SKAB_DATA", Path(__file__).parents[2].parent / "shared" / "data" / "skab"))


def require_skab() -> None:
    """Skip the test where they are not."""
    if not SKAB.is_dir():
        pytest.skip(f"the plant data SKAB is not at {SKAB} (SKAB_DATA)")
