"""Options and arguments that several commands have, and what is read from them.

What takes time to import is imported when a command runs, so that its help is quick.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from latigo.domain.errors import LatigoError, Misused
from latigo.domain.model import ModelRef
from latigo.domain.windows import Window
from latigo.reports.choices import CAUSES
from latigo.runtime.times import parse_time

if TYPE_CHECKING:
    from latigo.postgres.database import Database
    from latigo.settings import Settings

T = TypeVar("T")

#: Rows of a list that are printed as JSON unless --limit has another number.
MOST_IN_JSON = 100_000

#: Characters of a reason.
_LONGEST_WHY = 1000


def why(parameter: typer.CallbackParam, text: str) -> str:
    """Read a reason: what others read later is one line of plain text, and not empty where it is required."""
    line = " ".join(text.split())
    if parameter.required and not line:
        raise typer.BadParameter("Say why, for the record")
    if len(line) > _LONGEST_WHY:
        raise typer.BadParameter(f"It has {len(line)} characters; {_LONGEST_WHY} are enough")
    if not line.isprintable():
        raise typer.BadParameter("It contains control characters")
    return line


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
ModelOption = Annotated[str | None, typer.Option("--model", "-m", help="Only this model: MODEL, or PROJECT/MODEL.")]
SensorOption = Annotated[str | None, typer.Option("--sensor", metavar="TAG", help="Only what is about this sensor.")]
ModelArgument = Annotated[str, typer.Argument(metavar="PROJECT/MODEL", help="A model.")]
SubjectArgument = Annotated[str, typer.Argument(metavar="PROJECT[/MODEL]", help="A project, or one of its models.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why, for the record.", show_default=False, callback=why)]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=0, max=2**63 - 1, help="Show so many at most; 0: all.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count what it would do, and change nothing.")]
ExpectOption = Annotated[
    str, typer.Option("--expect", metavar="DIGEST", help="Refuse if the selection differs from that of a --dry-run.")
]
BackfillArgument = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="The number of a request.")]
ExecutorArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="An executor of latigo executors list; the beginning of its name will do.")
]
ExecutorOption = Annotated[
    str | None, typer.Option("--executor", metavar="NAME", help="Only tasks that this executor works on.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def reason_option(reasons: Sequence[str]) -> Any:
    """Return ``--reason``, of which these are listed."""
    shown = ", ".join(reasons)
    return typer.Option(help=f"Only this cause: {shown}.", metavar="REASON", autocompletion=lambda: list(reasons))


class Selected(NamedTuple):
    """What a command is limited to; None: all."""

    project: str | None = None
    model: str | None = None
    sensor: str | None = None


def settings_of(config: Path | None, *, quiet: bool = True, required: bool = True) -> "Settings":
    """Read the settings and configure the log; ``quiet`` raises its level to warnings.

    Raises:
        NoConfiguration: one is required, and there is none.
        ConfigurationError: they cannot be used.
    """
    from latigo.runtime.log import configure_logging, get_logger
    from latigo.settings import load_settings

    settings = load_settings(config, os.environ, required=required)
    level = "warning" if quiet and settings.log.level in {"debug", "info"} else settings.log.level
    configure_logging(settings.log.format, level, secrets=settings.secret_values())
    for key, advice in settings.deprecated().items():
        get_logger(__name__).warning("settings.deprecated", key=key, reason=advice)
    for key, reason in settings.lowered().items():
        get_logger(__name__).warning("settings.lowered", key=key, reason=reason)
    return settings


def with_ledger(settings: "Settings", work: "Callable[[Database], Awaitable[T]]") -> T:
    """Run ``work`` on the open ledger itself; see `latigo.cli.asking` for what a service answers as well."""
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.ledger import open_ledger

    async def opened() -> T:
        async with open_ledger(settings) as database:
            return await work(database)

    return run_async(opened)


def selection(project: str | None, model: str | None, sensor: str | None = None) -> Selected:
    """Read ``--project`` and ``--model``, which may name its project as well, and ``--sensor``."""
    if model is None or "/" not in model:
        return Selected(project, model, sensor)
    try:
        ref = ModelRef.parse(model)
    except ValueError:
        return Selected(project, model, sensor)  # which is no name that anything has
    if project not in {None, ref.project}:
        raise typer.BadParameter(f"{model} is not in the project {project} of --project", param_hint="--model")
    return Selected(*ref, sensor)


def selected_subject(text: str) -> Selected:
    """Read ``PROJECT`` or ``PROJECT/MODEL``."""
    return Selected(*model_ref(text)) if "/" in text else Selected(text)


def subject_text(selected: Selected) -> str:
    """Return ``PROJECT`` or ``PROJECT/MODEL``."""
    return f"{selected.project}/{selected.model}" if selected.model is not None else f"{selected.project}"


def model_ref(text: str) -> ModelRef:
    """Read ``PROJECT/MODEL``."""
    try:
        return ModelRef.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def check_reason(reason: str | None) -> None:
    """Check that ``--reason`` is one that failures have; None: any."""
    if reason is not None and reason not in CAUSES:
        raise typer.BadParameter(f"There is no cause {reason}; known: {', '.join(CAUSES)}", param_hint="--reason")


def time_range(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Read ``--from`` and ``--to``, either of which may be missing."""
    try:
        start, end = (parse_time(text, now) if text else None for text in (since, until))
        if start and end:
            Window(start, end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return start, end


def required_range(since: str, until: str, now: datetime) -> Window:
    """Read ``--from`` and ``--to`` where both are needed."""
    if not since:
        raise typer.BadParameter("Say where the time begins", param_hint="--from")
    start, end = time_range(since, until, now)
    if start is None or end is None:
        raise typer.BadParameter("Say where the time ends", param_hint="--to")
    return Window(start, end)


def require_terminal(option: str, *, yes: bool) -> None:
    """Check that a person can be asked, before anything is opened.

    Raises:
        Misused: none can, and ``--yes`` is missing.
    """
    if not yes and not sys.stdin.isatty():
        raise Misused(f"{option} asks for confirmation, and there is no terminal to ask on: add --yes")


def confirm(question: str) -> None:
    """Ask on the terminal; standard output stays free for JSON.

    Raises:
        LatigoError: the answer is not yes.
    """
    typer.echo(f"{question} [y/N]: ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise LatigoError("not confirmed, so nothing was changed")
