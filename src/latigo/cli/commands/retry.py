"""``latigo retry``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    YesOption,
    check_reason,
    confirm,
    reason_option,
    require_terminal,
    selection,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import show_json, show_table
from latigo.domain.outcome import UNSTORED
from latigo.reports.choices import RETRIED

if TYPE_CHECKING:
    from latigo.actions.retry import RetryResult
    from latigo.postgres.database import Database

EXAMPLES = ("latigo retry --project plant-a --reason unknown_sensor", "latigo retry --all --yes")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[str | None, reason_option(RETRIED)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All projects and models.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what is parked or waits for another attempt.

    Name a project, a model or a reason, or use --all, which asks for confirmation. The request is recorded with who and
    when. Exit code 2 when there is no such project or model.
    """
    _check_reason(reason)
    if project is None and model is None and reason is None and not everything:
        raise typer.BadParameter("Name --project, --model or --reason, or use --all")
    from latigo.actions.retry import count_retried, retry
    from latigo.wiring.resources import user_at_host

    selected, asks, settings = selection(project, model), everything and not yes, settings_of(config)

    async def work(database: "Database") -> "RetryResult":
        if asks:
            require_terminal("latigo retry --all", yes=yes)
            found = await count_retried(database, *selected, reason)
            confirm(f"Retry {found.windows} parked windows and {found.waiting} waiting tasks?")
        return await retry(database, user_at_host(), *selected, reason)

    unparked, woken = with_ledger(settings, work, selected)
    if as_json:
        show_json(unparked)
        return
    if unparked:
        show_table(unparked, ("project", "model", "reason"), title="No longer parked")
    if woken or not unparked:
        typer.echo(
            f"Tasks that waited and are tried again: {woken}" if woken else "Nothing was parked, and nothing waited"
        )


def _check_reason(reason: str | None) -> None:
    check_reason(reason)
    if reason is None or reason in RETRIED:
        return
    advice = (
        f"mend the model or the sink; latigo failures --reason {reason} lists the slots, and when they are rechecked"
        if reason in UNSTORED
        else f"what these messages were about is planned again by itself; latigo failures --reason {reason} lists them"
    )
    raise typer.BadParameter(f"{reason} is neither parked nor waiting: {advice}", param_hint="--reason")
