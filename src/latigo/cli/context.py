"""What all commands share: settings, the event loop, exit codes, and how answers are shown."""

import asyncio
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from latigo.domain.errors import ConfigurationError, LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.windows import iso
from latigo.runtime.log import configure_logging
from latigo.runtime.serialization import to_json
from latigo.runtime.units import format_duration
from latigo.settings import Settings, load_settings

T = TypeVar("T")
_LONGEST_LINE = 200


class Exit(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_AS_WANTED = 3
    CONFIGURATION = 78


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file (TOML). Without it: $LATIGO_CONFIG, else ./latigo.toml where there is one.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON, for programs.")]
ProjectOption = Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="Only this model; its name without project.")]
ModelArgument = Annotated[str, typer.Argument(metavar="PROJECT/MODEL", help="A model.")]


def settings_of(config: Path | None, *, quiet: bool = True) -> Settings:
    """Read the settings; commands that answer at once log only what is wrong.

    Raises:
        ConfigurationError: they cannot be used.
    """
    settings = load_settings(config, os.environ)
    level = "warning" if quiet and settings.log.level in {"debug", "info"} else settings.log.level
    configure_logging(settings.log.format, level, secrets=settings.secret_values())
    return settings


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, on uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(work())
    import uvloop  # noqa: PLC0415 - not there on Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


def model_ref(text: str) -> ModelRef:
    """Read ``PROJECT/MODEL`` from the command line."""
    try:
        return ModelRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def fail(error: LatigoError) -> int:
    """Tell what went wrong, without a traceback; the exit code for it."""
    if isinstance(error, ConfigurationError):
        typer.echo(f"latigo: the configuration cannot be used:\n{error}", err=True)
        return Exit.CONFIGURATION
    typer.echo(f"latigo: {error}", err=True)
    return Exit.FAILED


def show_json(answer: object) -> None:
    """Write an answer for programs."""
    sys.stdout.write(to_json(answer, indent=True).decode() + "\n")


def show_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    title: str = "",
    empty: str = "nothing",
    if_any: Collection[str] = (),
    below: str = "",
) -> None:
    """Write rows for people: aligned, and not broken, so that names can be searched for and copied at any width.

    Args:
        rows: what to show.
        columns: what of each, in order.
        title: stands above; a blank line keeps it apart from what is before.
        empty: said instead where there are no rows.
        if_any: columns that are left out where no row has anything to tell in them.
        below: a long text, of which the last line is shown below its row.
    """
    if not rows:
        typer.echo(f"{title}: {empty}" if title else empty)
        return
    if title:
        typer.echo(f"\n{title}")
    shown = [column for column in columns if column not in if_any or any(row.get(column) for row in rows)]
    head = [column.replace("_", " ") for column in shown]
    cells = [[cell(row.get(column)) for column in shown] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [_aligned(head, widths)]
    for texts, row in zip(cells, rows, strict=True):
        lines.append(_aligned(texts, widths))
        if text := row.get(below):
            lines.append(_indented(last_line(text)))
    typer.echo("\n".join(lines))


def _aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


def _indented(text: str) -> str:
    """By words, where somebody looks at it."""
    indent = " " * 4
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def last_line(text: str) -> str:
    """What a message says, and a traceback comes to; not more than a line or two."""
    return "".join(text.strip().splitlines()[-1:])[:_LONGEST_LINE]


def cell(value: object) -> str:
    """One value, as short as people like it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return iso(value.replace(microsecond=0)) if value.tzinfo else value.isoformat()
        case timedelta():
            return format_duration(value)
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{key} {cell(each)}" for key, each in value.items()) or "-"
        case _:
            return " ".join(str(value).splitlines())


def age(time: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    if time is None:
        return "-"
    seconds = int((now - time.astimezone(UTC)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
