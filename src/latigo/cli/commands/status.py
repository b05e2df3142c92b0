"""``latigo status``."""

from typing import TYPE_CHECKING

import typer

from latigo import __version__
from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of, with_ledger
from latigo.cli.tables import age, show_json, show_table
from latigo.domain.errors import Unavailable

if TYPE_CHECKING:
    from latigo.reports.status import Status

EXAMPLES = ("latigo status", "latigo status --json | jq .alarms")

_TROUBLES = ("stale", "silent", "parked", "undescribed", "unusable", "gone", "paused")


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how the service is doing, and what limits it.

    The first line has its state: healthy; recovering, while models lack predictions that Latigo catches up with by
    itself; needs attention, with a line for each cause; or unknown, while the ledger is unavailable. Exit code 0 when
    it is healthy, 1 when it is unknown, else 3.
    """
    from latigo.reports.status import State, read_status

    settings = settings_of(config)
    try:
        status = with_ledger(settings, lambda database: read_status(database, __version__))
    except Unavailable:
        if not as_json:
            typer.echo(f"Latigo {__version__}, {State.UNKNOWN}")
        raise
    if as_json:
        show_json(status)
    else:
        _show(status)
    if not status.healthy:
        raise typer.Exit(Exit.UNHEALTHY)


def _show(status: "Status") -> None:
    _show_summary(status)
    projects = [{**dict(project), "behind": age(project.oldest, status.now)} for project in status.projects]
    columns = ("project", "revision", "active", *_TROUBLES, "behind")
    show_table(projects, columns, title="Projects", empty="none listed yet", if_any=_TROUBLES)
    if status.stale:
        stale = [
            {**dict(model), "settled_until": model.looked_until, "behind": age(model.looked_until, status.now)}
            for model in status.stale
        ]
        title = f"Stale models, {len(stale)} of {status.stale_models}, the oldest first"
        show_table(stale, ("project", "model", "settled_until", "behind"), title=title)
    if status.failures:
        causes = ("project", "reason", "models", "since")
        show_table(status.failures, causes, title="Parked models, by cause", below="example")
    if status.queue.refused:
        refused = ("reason", "messages", "newest")
        show_table(status.queue.refused, refused, title="Refused messages, by cause", below="example")
    if status.exceptions:
        show_table(status.exceptions, ("project", "state", "models", "slots"), title="Slots without all their rows")


def _show_summary(status: "Status") -> None:
    rates, outstanding = status.rates, status.outstanding
    typer.echo(f"Latigo {status.version}, {status.state}")
    for alarm in status.alarms:
        typer.echo(f"  ! {alarm}")
    typer.echo(f"Planner   {status.planner.holder if status.planner else 'none'}")
    for executor in status.executors:
        typer.echo(
            f"Executor  {executor.id}: {executor.in_flight} of {executor.concurrency} in flight, "
            f"working limit {executor.working_limit}, seen {age(executor.seen_at, status.now)} ago"
        )
    typer.echo(
        f"Tasks     {outstanding.outstanding} outstanding ({outstanding.live} live), "
        f"{outstanding.waiting} waiting for another attempt"
    )
    if status.queue.partitions:
        typer.echo(f"Queue     {status.queue.lag} messages in {len(status.queue.partitions)} partitions")
    typer.echo(f"Backlog   {status.backlog.slots} slots in {status.backlog.calls} calls")
    typer.echo(
        f"Rate      {rates.covered_slots_per_second:.2f} slots/s covered in the last 5 minutes, "
        f"{rates.needed_slots_per_second:.2f} needed; {rates.rows_per_second:.1f} rows/s"
    )
    typer.echo(f"Limit     {status.limited_by}")
