"""``latigo retry``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    YesOption,
    confirm,
    require_terminal,
    selection,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import show_json, show_table
from latigo.domain.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latigo.actions.retry import Unparked
    from latigo.postgres.database import Database

EXAMPLES = ("latigo retry --project plant-a --reason unknown_sensor", "latigo retry --all --yes")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[Reason | None, typer.Option(help="Only what was parked for this.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All projects and models.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what is parked or waits for another attempt.

    Name a project, a model or a reason, or use --all, which asks for confirmation. The request is recorded with who and
    when. Exit code 2 when there is no such project or model.
    """
    if project is None and model is None and reason is None and not everything:
        raise typer.BadParameter("Name --project, --model or --reason, or use --all")
    from latigo.actions.retry import count_retried, retry
    from latigo.wiring.resources import user_at_host

    selected, asks, settings = selection(project, model), everything and not yes, settings_of(config)

    async def work(database: "Database") -> "Sequence[Unparked]":
        if asks:
            require_terminal("latigo retry --all", yes=yes)
            found = await count_retried(database, *selected, reason)
            confirm(f"Retry {found.windows} parked windows and {found.waiting} waiting tasks?")
        return await retry(database, user_at_host(), *selected, reason)

    unparked = with_ledger(settings, work, selected)
    if as_json:
        show_json(unparked)
    else:
        columns = ("project", "model", "reason")
        show_table(unparked, columns, title="No longer parked", empty="Nothing was parked")
