"""``latigo tasks hand-back``."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import (
    ConfigOption,
    DryRunOption,
    ExecutorOption,
    JsonOption,
    WhyOption,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import show_json, show_table

if TYPE_CHECKING:
    from latigo.actions.hand_back import TakenBack
    from latigo.postgres.database import Database

EXAMPLES = (
    "latigo tasks hand-back plant-a/pump-001 --reason 'hangs since noon'",
    "latigo tasks hand-back --executor worker-3/4711/1a2b3c4d --reason 'the host does not answer' --dry-run",
)


class LaneName(StrEnum):
    """Lanes, for ``--lane``."""

    LIVE = "live"
    BACKFILL = "backfill"
    REPAIR = "repair"
    MANUAL = "manual"


def run(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROJECT[/MODEL]]...", help="Tasks of these; * and ? stand for any characters."),
    ] = None,
    executor: ExecutorOption = None,
    lane: Annotated[LaneName | None, typer.Option(help="Only those of this lane.")] = None,
    reason: WhyOption = "",
    dry_run: DryRunOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take tasks back from executors and the queue, and publish them again.

    A task is named by its model, which has at most one live task and one of the other lanes. What the executor still
    settles of it does not count; it learns of that with its next renewal, and cancels it. Nothing is lost, and what it
    had written is written again. Exit code 2 when no such task is in the queue or claimed.
    """
    if not models and executor is None:
        raise typer.BadParameter("Name projects, models or --executor; '*' is every model")
    if not (reason or dry_run):
        raise typer.BadParameter("Say why, for the record", param_hint="--reason")
    from latigo.actions.hand_back import Held, hand_back
    from latigo.domain.task import Lane
    from latigo.reports.status import NO_PLANNER, read_stopped
    from latigo.wiring.resources import user_at_host

    held = Held(models or (), executor, None if lane is None else Lane(lane.value))

    async def work(database: "Database") -> "tuple[Sequence[TakenBack], str]":
        tasks = await hand_back(database, user_at_host(), held, reason, dry_run=dry_run)
        return tasks, await read_stopped(database)

    tasks, stopped = with_ledger(settings_of(config), work)
    if as_json:
        show_json(tasks)
        return
    rows = [{**dict(task), "from": task.start, "to": task.end} for task in tasks]
    show_table(rows, ("project", "model", "from", "to", "lane", "state", "executor"), if_any=("executor",))
    if dry_run:
        typer.echo("Nothing was changed")
    elif stopped == NO_PLANNER:
        typer.echo(f"Taken back, and published again when a scheduler runs: {stopped}")
    else:
        typer.echo(
            "Taken back, and published again within seconds" + (f"; nothing is started: {stopped}" if stopped else "")
        )
