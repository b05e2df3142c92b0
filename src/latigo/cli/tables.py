"""Output of commands: JSON for programs, aligned tables for people."""

import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

import typer

from latigo.domain.windows import iso
from latigo.runtime.lines import on_one_line
from latigo.runtime.units import format_duration

_LONGEST_LINE = 200


def show_json(answer: object) -> None:
    """Write an answer as JSON."""
    from latigo.runtime.serialization import to_json

    sys.stdout.write(to_json(answer, indent=True).decode() + "\n")


def show_table(
    rows: Sequence[object],
    columns: Sequence[str],
    *,
    title: str = "",
    empty: str = "nothing",
    if_any: Collection[str] = (),
    below: str = "",
) -> None:
    """Write rows: aligned, and never wrapped, so that names can be searched for and copied at any width.

    Args:
        rows: mappings, or reports of one kind.
        columns: the fields to show, in order.
        title: printed above, after a blank line.
        empty: shown where there are no rows.
        if_any: columns that are left out where they are empty or zero in every row.
        below: the field with a long text, of which the last line is shown below its row; or with several.
    """
    if not rows:
        typer.echo(f"{title}: {empty}" if title else empty)
        return
    if title:
        typer.echo(f"\n{title}")
    aligned = []
    for column in columns:  # one at a time: a list may have 100 000 rows
        values = _values(rows, column)
        if column not in if_any or any(values):
            aligned.append(_aligned([column.replace("_", " "), *map(cell, values)]))
    lines = ["  ".join(cells).rstrip() for cells in zip(*aligned, strict=True)]
    if below:
        head, *lines = lines
        texts = [_lines_below(value) for value in _values(rows, below)]
        lines = [head, *chain.from_iterable((line, *more) for line, more in zip(lines, texts, strict=True))]
    typer.echo("\n".join(lines))


def _values(rows: Sequence[Any], column: str) -> list[Any]:
    if isinstance(rows[0], Mapping):
        return [row.get(column) for row in rows]
    return [getattr(row, column, None) for row in rows]


def _aligned(texts: Sequence[str]) -> list[str]:
    width = max(map(len, texts))
    return [text.ljust(width) for text in texts]


def _lines_below(texts: str | Sequence[str] | None) -> list[str]:
    several = (texts,) if texts and isinstance(texts, str) else texts or ()
    return [_indented(last_line(text)) for text in several]


def show_json_list(rows: Sequence[object], total: int, limit: int | None) -> None:
    """Write a list as JSON: all of it as an array, else an object with ``items`` and how many there are, ``total``.

    Args:
        rows: of the list.
        total: how many it has.
        limit: of ``--limit``; with one it is always an object, so that a program need not expect both.
    """
    show_json(list(rows) if limit is None and len(rows) == total else {"items": list(rows), "total": total})


def show_cut(shown: int, total: int) -> None:
    """Report on standard error that a list was cut, if it was."""
    if shown < total:
        typer.echo(f"Showing {shown} of {total}; --limit 0 shows all", err=True)


def _indented(text: str) -> str:
    """Indent a text; wrap it between words on a terminal."""
    indent = " " * 4
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def last_line(text: str) -> str:
    """Return the last line of a message or a traceback, cut to 200 characters."""
    return on_one_line("".join(text.strip().splitlines()[-1:])[:_LONGEST_LINE])


def show_line(text: str) -> None:
    """Write one line, whatever a name or message in it contains."""
    typer.echo(on_one_line(text))


def cell(value: object) -> str:
    """Format one value."""
    match value:
        case str():
            return on_one_line(str(value)) if value else "-"
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return _time(value)
        case timedelta():
            return _duration(value)
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{key} {cell(item)}" for key, item in value.items()) or "-"
        case _:
            return on_one_line(str(value))


# Of a hundred thousand rows, most have the same few.
_duration = lru_cache(format_duration)


@lru_cache(maxsize=4096)
def _time(value: datetime) -> str:
    return iso(value.replace(microsecond=0)) if value.tzinfo else value.isoformat()


def age(time: datetime | None, now: datetime) -> str:
    """Format how long ago a time was, in the largest unit of which there are two."""
    if time is None:
        return "-"
    seconds = int((now - time.astimezone(UTC)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def show_pairs(pairs: Mapping[str, Any]) -> None:
    """Write one line a key; a list has a line for each of its entries."""
    width = max(map(len, pairs)) + 2
    for key, value in pairs.items():
        for item in (value or ["none"]) if isinstance(value, list) else [value]:
            typer.echo(f"{key.replace('_', ' '):<{width}}{cell(item)}")
