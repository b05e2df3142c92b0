"""Rows as arrays: one statement for any number of rows."""

from collections.abc import Iterable
from typing import Any


def columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the parallel arrays that ``unnest`` takes, one a column; none at all where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)]
