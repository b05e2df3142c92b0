"""Nothing but `latigo.runtime.clock` reads time: not from an event loop, nor by a timer of prometheus_client.

Ruff holds the part of the rule that names of modules can express (TID251).
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src/latigo"
CLOCK = SOURCES / "runtime/clock.py"
#: Attributes called ``time`` that are no clock: the times of points, and midnight.
NO_CLOCK = {
    "column.time",
    "datetime.min.time",
    "point.time",
    "points[chunk.tag].time",
    "points[tag].time",
    "series.time",
}


def clocks(source: str) -> Iterator[tuple[int, str]]:
    """Line and expression of all that has the name of a loop's or a metric's clock, whatever it belongs to."""
    if re.search(r"\.\s*(time|set_to_current_time)\b", source):  # few have: only those are parsed
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and node.attr in {"time", "set_to_current_time"}:
                yield node.lineno, ast.unparse(node)


def reads_of_time(source: str) -> list[str]:
    """Return ``line: expression`` of those that may be a clock."""
    return [f"{line}: {expression}" for line, expression in clocks(source) if expression not in NO_CLOCK]


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("loop.time()", True),
        ("self._loop.time()", True),
        ("asyncio.get_running_loop().time()", True),
        ("deadline = get_event_loop().time", True),
        ("anything.time()", True),
        ("Heartbeat(now=self._events.time)", True),
        ("seconds.labels('plan').time()", True),
        ("with seconds.time(): pass", True),
        ("@seconds.time()\ndef f(): pass", True),
        ("gauge.set_to_current_time()", True),
        ("clock.monotonic()", False),
        ("datetime.min.time()", False),
        ("point.time - start", False),
    ],
)
def test_any_attribute_called_time_counts_but_for_those_of_data(source: str, reads: bool) -> None:
    assert bool(reads_of_time(source)) is reads


def test_nothing_but_the_clock_reads_time() -> None:
    files = sorted(set(SOURCES.rglob("*.py")) - {CLOCK})

    result = {str(file.relative_to(SOURCES)): found for file in files if (found := reads_of_time(file.read_text()))}

    assert len(files) > 100
    assert result == {}


def test_every_exception_is_needed() -> None:
    """A name that no file has any more would only hide a clock."""
    expressions = {expression for file in SOURCES.rglob("*.py") for _, expression in clocks(file.read_text())}

    assert expressions >= NO_CLOCK
