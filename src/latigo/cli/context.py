"""What all commands share: settings, the event loop, exit codes, and how answers are shown."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from latigo.domain.errors import ConfigurationError, LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.windows import iso
from latigo.runtime.log import configure_logging
from latigo.runtime.units import format_duration
from latigo.settings import Settings, load_settings

T = TypeVar("T")


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
    text = orjson.dumps(answer, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    sys.stdout.write(text.decode() + "\n")


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def show_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, title: str = "", empty: str = "nothing"
) -> None:
    """Write rows for people."""
    console = Console(highlight=False)
    if not rows:
        console.print(f"{title}: {empty}" if title else empty, markup=False)
        return
    table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    console.print(table)


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
        case _:
            return str(value)


def age(time: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    if time is None:
        return "-"
    seconds = int((now - time.astimezone(UTC)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
