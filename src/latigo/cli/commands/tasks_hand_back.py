"""``latigo tasks hand-back``."""

from enum import StrEnum
from typing import Annotated

import typer

from latigo.cli.options import (
    ConfigOption,
    DryRunOption,
    ExecutorOption,
    JsonOption,
    WhyOption,
)
from latigo.cli.tables import show_json, show_table

EXAMPLES = (
    "latigo tasks hand-back plant-a/pump-001 --reason 'hangs since noon'",
    "latigo tasks hand-back --executor worker-3/4711/1a2b3c4d --reason 'the host does not answer' --dry-run",
)
OVER_HTTP = True


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
    from latigo.cli.asking import with_service
    from latigo.web.api.queue import HAND_BACK

    held = {"names": models or (), "executor": executor, "lane": None if lane is None else lane.value}
    tasks = with_service(config, lambda service: service.ask(HAND_BACK, **held, reason=reason, dry_run=dry_run)).tasks
    if as_json:
        show_json(tasks)
        return
    rows = [{**dict(task), "from": task.start, "to": task.end} for task in tasks]
    show_table(rows, ("project", "model", "from", "to", "lane", "state", "executor"), if_any=("executor",))
    typer.echo("Nothing was changed" if dry_run else "Taken back, and published again within seconds")
