"""Commands that ask the ledger, or ask something of it: status, failures, retry, plan."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer

from latigo import __version__
from latigo.cli.context import (
    ConfigOption,
    Exit,
    JsonOption,
    ModelOption,
    ProjectOption,
    age,
    cell,
    last_line,
    run_async,
    settings_of,
    show_json,
    show_table,
)
from latigo.cli.times import parse_time
from latigo.domain.errors import Reason
from latigo.domain.windows import Window
from latigo.ledger.reports import LedgerReports
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings
from latigo.wiring.resources import open_ledger, user_at_host

T = TypeVar("T")
FromOption = Annotated[str | None, typer.Option("--from", help="Begin: ISO 8601, or relative such as -7d.")]
#: What failures can be asked for: why something is parked, waits, or was not taken out of the queue.
CAUSES = (*Reason, "retry", "unreadable", "too_new")
ToOption = Annotated[str | None, typer.Option("--to", help="End: ISO 8601, relative, or now.")]


def add_to(cli: typer.Typer) -> None:
    """Put the commands of this file under ``cli``."""
    cli.command()(status)
    cli.command()(failures)
    cli.command()(retry)
    cli.command()(plan)


def ask(settings: Settings, question: Callable[[LedgerReports], Awaitable[T]]) -> T:
    """Open the ledger, ask, close."""

    async def work() -> T:
        async with open_ledger(settings) as database:
            return await question(LedgerReports(database, __version__))

    return run_async(work)


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how the service is doing: freshness, backlog, circuits, failures by cause, rates and what limits them.

    Exit code 3 when models are stale or lack their metadata, or somebody has to do something, as for models that are
    parked with their newest slot; 0 when all is well.
    """
    found = ask(settings_of(config), lambda reports: reports.status())
    if as_json:
        show_json(found)
    else:
        _show_status(found)
    if not found["healthy"]:
        raise typer.Exit(Exit.NOT_AS_WANTED)


def _show_status(found: Mapping[str, Any]) -> None:
    now, rates, out = found["now"], found["rates"], found["outstanding"]
    planner = found["planner"]["holder"] if found["planner"] else "nobody"
    typer.echo(f"Latigo {found['version']}, {'all is well' if found['healthy'] else 'NOT AS WANTED'}")
    for alarm in found["alarms"]:
        typer.echo(f"  ! {alarm}")
    typer.echo(f"planner   {planner}")
    for each in found["executors"]:
        typer.echo(
            f"executor  {each['id']}: {each['in_flight']} of {each['concurrency']} in flight, "
            f"working limit {each['working_limit']}, seen {age(each['seen_at'], now)} ago"
        )
    typer.echo(f"out       {out['outstanding']} tasks ({out['live']} live), {out['waiting']} wait for another attempt")
    if found["queue"]["partitions"]:
        typer.echo(f"queue     {found['queue']['lag']} messages in {len(found['queue']['partitions'])} partitions")
    typer.echo(f"backlog   {found['backlog']['slots']} slots in {found['backlog']['calls']} calls")
    typer.echo(
        f"rate      {rates['covered_slots_per_second']:.2f} slots/s covered in the last 5 minutes, "
        f"{rates['needed_slots_per_second']:.2f} needed; {rates['rows_per_second']:.1f} rows/s"
    )
    typer.echo(f"limit     {found['limited_by']}")
    projects = [{**each, "behind": age(each["oldest"], now)} for each in found["projects"]]
    troubles = ("stale", "silent", "parked", "undescribed", "unusable", "gone", "paused")
    columns = ("project", "revision", "active", *troubles, "behind")
    show_table(projects, columns, title="projects", empty="none listed yet", if_any=troubles)
    if found["stale"]:
        rows = [{**each, "behind": age(each["looked_until"], now)} for each in found["stale"]]
        show_table(rows, ("project", "model", "looked_until", "behind"), title="stale models, the oldest ones")
    if found["failures"]:
        show_table(
            found["failures"], ("project", "reason", "models", "since"), title="parked, by cause", below="example"
        )
    if found["queue"]["refused"]:
        show_table(
            found["queue"]["refused"],
            ("reason", "messages", "newest"),
            title="messages that are no task, by cause",
            below="example",
        )
    if found["exceptions"]:
        show_table(found["exceptions"], ("project", "state", "models", "slots"), title="slots without all their rows")


def failures(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[str | None, typer.Option(help="Only this cause, such as crashed or unreadable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what is parked, what waits for another attempt, and messages of the queue that are no task; with causes."""
    if reason is not None and reason not in CAUSES:
        raise typer.BadParameter(f"no cause is called {reason}; known: {', '.join(CAUSES)}", param_hint="--reason")
    found = ask(settings_of(config), lambda reports: reports.failures(project, model, reason))
    if as_json:
        show_json(found)
        return
    rows = [{**each, "detail": what_failed(each)} for each in found]
    columns = ("project", "model", "state", "reason", "since")
    show_table(rows, columns, empty="nothing has failed", below="detail")


def what_failed(failure: Mapping[str, Any]) -> str:
    """Which time, where it is not all of it, and why; in a line."""
    detail = last_line(failure["detail"])
    return f"{cell(failure['first'])} to {cell(failure['last'])}: {detail}" if failure["first"] else detail


def retry(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[Reason | None, typer.Option(help="Only what was parked for this.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All projects and models.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give what is parked or waits another chance, now.

    Name a project, a model or a reason, or say --all. The request is recorded with who and when.
    """
    if not (project or model or reason or everything):
        raise typer.BadParameter("name --project, --model or --reason, or say --all")
    parked = ask(settings_of(config), lambda reports: reports.retry(user_at_host(), project, model, reason))
    if as_json:
        show_json(parked)
    else:
        show_table(parked, ("project", "model", "reason"), title="no longer parked", empty="nothing was parked")


def plan(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    since: FromOption = None,
    until: ToOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be done now, and what it would cost in calls of the model server. Changes nothing."""
    now = SystemClock().now()
    try:
        start, end = (parse_time(text, now) if text else None for text in (since, until))
        if start and end:
            Window(start, end)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    async def question(reports: LedgerReports) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
        return await reports.holes(project, model, start, end), await reports.backlog(project, model)

    holes, backlog = ask(settings_of(config), question)
    if as_json:
        show_json({"windows": holes, "projects": backlog})
        return
    columns = ("project", "model", "start", "end", "slots", "calls", "live", "held")
    show_table(holes, columns, empty="nothing is missing", if_any=("held",))
    if backlog:
        show_table(backlog, ("project", "models", "slots", "calls"), title="in all")
