"""``latigo status``."""

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import typer

from latigo import __version__
from latigo.cli.exits import Exit, fail
from latigo.cli.options import ConfigOption, JsonOption
from latigo.cli.tables import age, show_json, show_line, show_table
from latigo.domain.errors import Unavailable
from latigo.domain.health import State
from latigo.runtime.units import format_duration, rough_time

if TYPE_CHECKING:
    from latigo.reports.freshness import Achieved, Freshness
    from latigo.reports.status import Status
    from latigo.reports.status_parts import ParkedModels

EXAMPLES = ("latigo status", "latigo status --json | jq .alarms")
OVER_HTTP = True

#: Before a cause: an exclamation mark where a person has to act.
_MARKS = {State.NEEDS_ATTENTION: "!", State.RECOVERING: "~"}
_TROUBLES = ("stale", "silent", "parked", "undescribed", "unusable", "missing", "retired", "not_built", "paused")


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how the service is doing, and what limits it.

    The first line has its state: healthy; recovering, while predictions are late or missing but a person need not act;
    needs attention; or unknown, while the ledger is unavailable. Below it is a line for each cause. Exit code 0 when it
    is healthy, 1 when it is unknown, else 3.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.status import STATUS

    try:
        status = with_service(config, lambda service: service.ask(STATUS))
    except Unavailable as error:
        if as_json:
            show_json({"version": __version__, "healthy": False, "state": State.UNKNOWN, "error": str(error)})
        else:
            typer.echo(f"Latigo {__version__}, {State.UNKNOWN.words}")
        raise typer.Exit(fail(error).code) from error
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
    _show_stale_time(status.freshness)
    if status.stale:
        stale = [
            {**dict(model), "settled_until": model.looked_until, "behind": age(model.looked_until, status.now)}
            for model in status.stale
        ]
        late = sum(project.late for project in status.projects)
        title = f"Late models, {_part(len(stale), late, 'the oldest')}"
        show_table(stale, ("project", "model", "settled_until", "behind"), title=title)
    if status.pauses:
        title = f"Paused, {_part(len(status.pauses), status.pause_count, 'the newest')}"
        show_table(status.pauses, ("project", "model", "at", "who", "reason"), title=title)
    if status.limits:
        limits = [
            {
                **dict(limit),
                "limit": limit.name.replace("_", " "),
                "value": "" if limit.is_pause else f"{limit.value:g}",
            }
            for limit in status.limits
        ]
        title = "Limits that were changed (latigo limits)"
        show_table(limits, ("limit", "value", "at", "who", "reason"), title=title, if_any=("value",))
    if status.sinks:
        show_table(status.sinks, ("sink", "since", "models", "slots", "lost"), title="Sinks that lack predictions")
    if status.not_built:
        title = f"Expected and not built, {_part(len(status.not_built), status.not_built_count, 'the oldest')}"
        show_table(status.not_built, ("project", "model", "since"), title=title)
    if status.silent_sensors:
        silent = [{**dict(sensor), "silent_for": age(sensor.since, status.now)} for sensor in status.silent_sensors]
        title = f"Silent sensors, {_part(len(silent), status.silent_sensor_count, 'those that most models wait for')}"
        show_table(silent, ("tag", "since", "silent_for", "models"), title=title)
    _show_refused(status)


def _show_refused(status: "Status") -> None:
    """Show what cannot be used, and what is missing because of it."""
    if status.bad_readings:
        title = f"Bad readings, skipped, {_part(len(status.bad_readings), status.bad_reading_kinds, 'the most')}"
        bad = [{**dict(found), "found": found.last_at} for found in status.bad_readings]
        show_table(bad, ("place", "tag", "fault", "readings", "found"), title=title, below="example")
    if status.failures:
        causes = ("reason", "models", "projects", "since")
        show_table(_by_reason(status.failures), causes, title="Parked models, by cause", below="example")
    if status.queue.refused:
        refused = ("reason", "messages", "newest")
        show_table(status.queue.refused, refused, title="Refused messages, by cause", below="example")
    if status.queue.mismatched:
        rows = [{**dict(row), "first": row.first_at, "last": row.last_at} for row in status.queue.mismatched]
        title = "Messages that this ledger has never sent, by kind"
        show_table(rows, ("kind", "task", "first", "last"), title=title, below="example")
    if status.exceptions:
        show_table(status.exceptions, ("project", "state", "models", "slots"), title="Slots without all their rows")


def _show_stale_time(freshness: "Freshness") -> None:
    """Show what stale time is put down to, and which projects have it."""
    if not freshness.causes:
        return
    causes = [
        {"cause": time.cause, "1_h": _minutes(time.hour), "6_h": _minutes(time.six_hours), "30_d": _minutes(time.month)}
        for time in freshness.causes
    ]
    show_table(causes, ("cause", "1_h", "6_h", "30_d"), title="Stale time by cause, in minutes of all models")
    projects = [
        {
            "project": project.project,
            "fresh": _percent(project.share),
            "budget_left": f"{_whole_percent(project.budget_left)} %",
            **_burn_rates(project),
            "main_cause": project.causes[0].cause,
        }
        for project in freshness.projects
        if project.causes
    ]
    columns = ("project", "fresh", "budget_left", "burn_1_h", "burn_6_h", "burn_30_d", "main_cause")
    show_table(projects, columns, title="Projects with stale time, in the last 30 days")


def _burn_rates(achieved: "Achieved") -> Mapping[str, float | None]:
    rates = {
        "burn_1_h": achieved.burn_hour,
        "burn_6_h": achieved.burn_six_hours,
        "burn_30_d": achieved.burn_month,
    }
    return {name: None if rate is None else round(rate, 2) for name, rate in rates.items()}


def _percent(share: float | None) -> str:
    """Return a share in percent. Rounded down, so that what is not reached does not look as if it were."""
    return "" if share is None else f"{math.floor(share * 10_000) / 100:g} %"


def _whole_percent(share: float | None) -> int:
    return math.floor((share or 0.0) * 100)


def _minutes(minutes: float) -> int:
    return math.ceil(minutes)


def _part(shown: int, count: int, which: str) -> str:
    return f"all {count}" if shown == count else f"{which} ({shown} of {count})"


def _by_reason(failures: "Sequence[ParkedModels]") -> list[Mapping[str, Any]]:
    """Return one row for each reason, of all projects."""
    from latigo.reports.outages import some_of

    rows: dict[str, list[ParkedModels]] = {}
    for failure in failures:
        rows.setdefault(failure.reason, []).append(failure)
    return [
        {
            "reason": reason,
            "models": sum(failure.models for failure in alike),
            "projects": some_of([failure.project for failure in alike]),
            "since": min(failure.since for failure in alike),
            "example": alike[0].example,
        }
        for reason, alike in sorted(rows.items())
    ]


def _show_summary(status: "Status") -> None:
    from latigo.reports.snapshot import COMPLETE
    from latigo.runtime.units import counted

    rates, outstanding = status.rates, status.outstanding
    show_line(f"Latigo {status.version}, {status.state.words}")
    for cause in status.causes:
        show_line(f"  {_MARKS[cause.state]} {cause.text}")
    show_line(f"Planner   {status.planner.holder if status.planner else 'none'}")
    for executor in status.executors:
        drained = f", drained by {executor.drained_by} ({executor.drain_reason})" if executor.drained_at else ""
        show_line(
            f"Executor  {executor.id}: {executor.in_flight} of {executor.concurrency} in flight, "
            f"working limit {executor.working_limit}, seen {age(executor.seen_at, status.now)} ago{drained}"
        )
    show_line(
        f"Tasks     {outstanding.outstanding} outstanding ({outstanding.live} live), "
        f"{outstanding.waiting} waiting for another attempt"
    )
    if status.queue.partitions:
        show_line(f"Queue     {status.queue.lag} messages in {len(status.queue.partitions)} partitions")
    show_line(f"Backlog   {_backlog(status)}")
    if status.repairs.models:
        show_line(f"Repairs   {status.repairs.slots:g} slots of {status.repairs.models} models")
    if requests := [f"{number} {state}" for state, number in dict(status.requests).items() if number]:
        show_line(f"Requests  {', '.join(requests)} (latigo backfills)")
    possible = rates.possible_slots_per_second
    show_line(
        f"Rate      {rates.covered_slots_per_second:.2f} slots/s covered in the last 5 minutes, "
        f"{rates.needed_slots_per_second:.2f} needed"
        + ("" if possible is None else f", {possible:.2f} possible at one slot a call")
        + f"; {rates.rows_per_second:.1f} rows/s"
    )
    if status.dismissed_models:
        show_line(f"Dismissed {counted(status.dismissed_models, 'model')} with failures (latigo failures --dismissed)")
    show_line(f"Limit     {status.limited_by}")
    by_cause = ", ".join(f"{cause} {models}" for cause, models in status.freshness.stale_by_cause.items())
    stale = f"{status.freshness.stale} stale" + (f" ({by_cause})" if by_cause else "")
    show_line(f"Fresh     {status.freshness.fresh} models, {stale}")
    show_line(f"Objective {_objective(status.freshness)}")

    for source in status.lateness:
        if source.complete_share < COMPLETE:
            show_line(
                f"Late      {source.source}: {source.complete_share:.1%} of the newest slots were complete when read;"
                f" a delay of {format_duration(source.delay)} would make it {COMPLETE:.0%}"
            )


def _backlog(status: "Status") -> str:
    backlog = status.backlog
    text = f"{backlog.slots} slots in {backlog.calls} calls"
    if backlog.as_of is not None:
        text += f" as of {age(backlog.as_of, status.now)} ago"
    return (
        text if backlog.seconds is None else f"{text}, done in about {rough_time(timedelta(seconds=backlog.seconds))}"
    )


def _objective(freshness: "Freshness") -> str:
    within = freshness.fresh_within_s
    allowed = "their delay and two slots" if within is None else format_duration(timedelta(seconds=within))
    text = f"{_percent(freshness.target)} of the time within {allowed}: "
    if freshness.share is None:
        return f"{text}nothing counted yet"
    burn = ", ".join(
        f"{rate:g} in {name.removeprefix('burn_').replace('_', ' ')}"
        for name, rate in _burn_rates(freshness).items()
        if rate is not None
    )
    left = _whole_percent(freshness.budget_left)
    budget = f"{left} % of the error budget left" if left >= 0 else f"error budget exceeded by {-left} %"
    return f"{text}{_percent(freshness.share)} in 30 d, {budget}; burn rate {burn}"
