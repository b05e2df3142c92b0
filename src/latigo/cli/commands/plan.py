"""``latigo plan``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    JsonOption,
    LimitOption,
    ModelOption,
    ProjectOption,
    selection,
    time_range,
)
from latigo.cli.tables import cell, show_cut, show_json, show_line, show_table
from latigo.reports.choices import WindowOrder, WindowState
from latigo.runtime.units import counted, format_duration

if TYPE_CHECKING:
    from latigo.reports.gordo_cost import GordoCost

EXAMPLES = (
    "latigo plan --project plant-a",
    "latigo plan --from -7d --to now --sort slots --json",
    "latigo plan --cost --within 12h",
)
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    since: Annotated[str | None, typer.Option("--from", help="Begin: ISO 8601, or relative such as -7d.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = None,
    state: Annotated[WindowState | None, typer.Option(help="Only windows in this state.")] = None,
    sort: Annotated[WindowOrder, typer.Option(help="Which come first.")] = "newest",
    limit: LimitOption = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Estimate the cores that the model server needs, and what would save most.")
    ] = False,
    within: Annotated[
        str | None,
        typer.Option(
            help="With --cost: the time in which the backlog is to be done, such as 12h; 1d by default.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be done now, and what it would cost in calls of the model server.

    Changes nothing. At most 1000 windows are shown, with --json 100 000, where total is how many there are. With
    --cost, cores of Gordo are estimated for all models from the calls of the last day, and models are named that it
    seems to load on every call. Exit code 2 when there is no such project or model.
    """
    if cost:
        if any(given is not None for given in (project, model, since, until, state, limit)) or sort != "newest":
            raise typer.BadParameter(
                "It is about all models and windows: leave out what selects some", param_hint="--cost"
            )
        _show_cost(config, within, as_json=as_json)
        return
    if within is not None:
        raise typer.BadParameter("It has a meaning with --cost only", param_hint="--within")
    from latigo.cli.asking import with_service
    from latigo.reports.plan import MOST_WINDOWS
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.queue import PLAN

    start, end = time_range(since, until, SystemClock().now())
    selected = selection(project, model)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_WINDOWS
    wanted = {
        "project": selected.project,
        "model": selected.model,
        "since": start and start.isoformat(),
        "until": end and end.isoformat(),
        "state": state,
        "order": sort,
    }
    plan = with_service(config, lambda service: service.list(PLAN, most, **wanted))
    total = plan.total or 0
    if as_json:
        paused = plan.backfill_paused
        show_json({"windows": plan.items, "projects": plan.projects, "backfill_paused": paused, "total": total})
    else:
        columns = ("project", "model", "start", "end", "slots", "calls", "live", "held", "repair", "requested")
        empty = "Nothing like that is missing" if state or start or end else "Nothing is missing"
        show_table(plan.items, columns, empty=empty, if_any=("held", "repair", "requested"))
        if plan.projects:
            show_table(plan.projects, ("project", "models", "slots", "calls"), title="In all")
        if paused := plan.backfill_paused:
            show_line(
                f"Only live windows are planned: backfill is paused since {cell(paused.at)} by {paused.who}:"
                f" {paused.reason} (latigo limits --resume-backfill)"
            )
    show_cut(len(plan.items), total)


def _show_cost(config: Path | None, within: str | None, *, as_json: bool) -> None:
    from latigo.cli.asking import with_service
    from latigo.web.api.queue import COST

    asked = {} if within is None else {"within": within}
    report = with_service(config, lambda service: service.ask(COST, **asked))
    if as_json:
        show_json(report)
        return
    since = f", the oldest at {cell(report.since)}" if report.since else ""
    basis = f"{counted(report.calls, 'call')} of the last day{since}"
    show_line(f"{counted(report.models, 'model')}, {report.live_calls_per_hour:.0f} live calls an hour")
    if report.cores_live is None or report.cores_backlog is None or report.cores_in_use is None:
        show_line(f"Too few calls to estimate cores: {basis}")
        return
    show_line(
        f"Gordo cores needed: {_cores(report.cores_live + report.cores_backlog)}; live {_cores(report.cores_live)},"
        f" backlog {_cores(report.cores_backlog)} ({report.backlog_calls:.0f} calls within"
        f" {format_duration(report.within)}); in use in the last hour {_cores(report.cores_in_use)}"
    )
    _show_loaded(report)
    best = next(iter(report.suggestions), None)
    if best is not None:
        show_line(
            f"Helps most: {best.setting} = {best.value} saves about {_cores(best.cores_saved)} cores: {best.text}"
        )
    show_line(f"Rests on {basis}. An upper bound: a core counts as busy for as long as a call takes")


_WHY = {
    "itself": "{:.1f} times its calls in a row",
    "keras": "{:.1f} times other Keras models in memory",
    "other": "much slower than models of other kinds; in memory about {:.1f} times faster",
}


def _show_loaded(report: "GordoCost") -> None:
    if not report.keras_models:
        return
    known = f"{report.judged} of {counted(report.keras_models, 'Keras model')} can be judged"
    if not report.loaded_count:
        show_line(f"No model seems to be loaded on every call; {known}")
        return
    seem = "seems" if report.loaded_count == 1 else "seem"
    show_line(f"{counted(report.loaded_count, 'model')} {seem} to be loaded on every call; {known}:")
    for each in report.loaded:
        why = _WHY[each.compared_with].format(each.live_ms / each.in_memory_ms)
        show_line(f"  {each.project}/{each.model}: {each.live_ms:.0f} ms a call, {why}")
    if more := report.loaded_count - len(report.loaded):
        show_line(f"  and {more} more")


def _cores(cores: float) -> str:
    return f"{cores:.3f}" if cores < 1 else f"{cores:.1f}"
