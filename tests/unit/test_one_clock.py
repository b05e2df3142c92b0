"""Nothing but `latigo.runtime.clock` reads the clock of an event loop; ruff holds the rest of the rule (TID251)."""

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src/latigo"
CLOCK = SOURCES / "runtime/clock.py"


def reads_of_loop_time(source: str) -> list[int]:
    """The lines with ``loop.time()``, ``self._loop.time()``, ``get_running_loop().time`` and their like."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr == "time" and named(node.value).endswith("loop")
    ]


def named(node: ast.expr) -> str:
    """The last name of an expression, calls left out."""
    match node:
        case ast.Call():
            return named(node.func)
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case _:
            return ""


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("loop.time()", True),
        ("self._loop.time()", True),
        ("asyncio.get_running_loop().time()", True),
        ("deadline = get_event_loop().time", True),
        ("clock.monotonic()", False),
        ("seconds.labels('plan').time()", False),
        ("datetime.min.time()", False),
    ],
)
def test_only_the_time_of_a_loop_counts(source: str, reads: bool) -> None:
    assert bool(reads_of_loop_time(source)) is reads


def test_nothing_but_the_clock_reads_the_time_of_an_event_loop() -> None:
    files = sorted(set(SOURCES.rglob("*.py")) - {CLOCK})

    result = {
        str(file.relative_to(SOURCES)): lines for file in files if (lines := reads_of_loop_time(file.read_text()))
    }

    assert len(files) > 100
    assert result == {}
