"""Windows and coverage as PostgreSQL has them: ranges and multiranges of ``timestamptz``."""

from collections.abc import Iterable
from typing import Any

import asyncpg

from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window, iso


def to_range(window: Window | None) -> Any:
    """Return a window as the driver takes a ``tstzrange``; None is all of time."""
    return asyncpg.Range(window.start, window.end) if window else asyncpg.Range()


def to_window(value: Any) -> Window:
    """Return a bounded ``tstzrange`` of the driver as a window."""
    return Window(value.lower, value.upper)


def to_multirange(windows: Iterable[Window]) -> str:
    """Return a ``tstzmultirange`` as text, because arrays of multiranges have no other unambiguous form."""
    return "{" + ",".join(f"[{iso(window.start)},{iso(window.end)})" for window in windows) + "}"


def to_coverage(value: Any) -> Coverage:
    """Return a ``tstzmultirange`` of bounded ranges, as the driver gives it, as a coverage."""
    return Coverage(tuple(Window(part.lower, part.upper) for part in value))
