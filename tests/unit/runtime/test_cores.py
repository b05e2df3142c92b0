"""How many processors there are to use."""

import os
from pathlib import Path

import pytest

from latigo.runtime.cores import usable_cores


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("0 100000", 1),
        ("max 100000", 4),
        ("900000 100000", 4),
        ("100000 0", 4),
        ("", 4),
        (None, 4),
    ],
)
def test_the_limit_of_a_container_counts_where_it_is_less(
    limit: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    quota = tmp_path / "cpu.max"
    if limit is not None:
        quota.write_text(limit, encoding="ascii")

    assert usable_cores(quota) == expected
