"""Options and arguments that several commands have, and what is read from them."""

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import structlog
import typer

from latigo.cli.times import parse_time
from latigo.domain.model import ModelRef
from latigo.domain.windows import Window
from latigo.postgres.database import Database
from latigo.runtime.event_loop import run_async
from latigo.runtime.log import configure_logging
from latigo.settings import Settings, load_settings
from latigo.wiring.resources import open_ledger

T = TypeVar("T")
_log = structlog.get_logger()

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Settings file (TOML). Without it: $LATIGO_CONFIG, else ./latigo.toml where there is one.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ProjectOption = Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")]
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="Only this model; its name without project.")]
ModelArgument = Annotated[str, typer.Argument(metavar="PROJECT/MODEL", help="A model.")]


def settings_of(config: Path | None, *, quiet: bool = True) -> Settings:
    """Read the settings and configure the log; ``quiet`` raises its level to warnings.

    Raises:
        ConfigurationError: they cannot be used.
    """
    settings = load_settings(config, os.environ)
    level = "warning" if quiet and settings.log.level in {"debug", "info"} else settings.log.level
    configure_logging(settings.log.format, level, secrets=settings.secret_values())
    for key, advice in settings.deprecated().items():
        _log.warning("settings.deprecated", key=key, reason=advice)
    return settings


def with_ledger(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run ``work`` on the open ledger."""

    async def opened() -> T:
        async with open_ledger(settings) as database:
            return await work(database)

    return run_async(opened)


def model_ref(text: str) -> ModelRef:
    """Read ``PROJECT/MODEL``."""
    try:
        return ModelRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def time_range(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read ``--from`` and ``--to``, either of which may be missing."""
    try:
        start, end = (parse_time(text, now) if text else None for text in (since, until))
        if start and end:
            Window(start, end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return start, end
