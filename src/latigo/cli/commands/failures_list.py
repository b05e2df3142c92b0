"""``latigo failures list``."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    JsonOption,
    LimitOption,
    ModelOption,
    ProjectOption,
    SensorOption,
    check_reason,
    reason_option,
    selection,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import age, show_cut, show_json_list, show_table
from latigo.reports.choices import CAUSES, FailureGrouping, FailureOrder, FailureState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from latigo.postgres.database import Database
    from latigo.reports.failures import Failure, FailureGroup

T = TypeVar("T")

EXAMPLES = (
    "latigo failures --by sensor",
    "latigo failures --project plant-a",
    "latigo failures --dismissed",
    "latigo failures --reason crashed --sort newest --limit 20 --json",
)


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    sensor: SensorOption = None,
    reason: Annotated[str | None, reason_option(CAUSES)] = None,
    state: Annotated[FailureState | None, typer.Option(help="Only what is in this state.")] = None,
    by: Annotated[
        FailureGrouping | None, typer.Option(help="One line for each cause, sensor or project, with what helps.")
    ] = None,
    sort: Annotated[
        FailureOrder, typer.Option(help="Which come first; groups always begin with most models.")
    ] = "name",
    dismissed: Annotated[
        bool, typer.Option("--dismissed", help="Those that latigo failures dismiss has dismissed, and no others.")
    ] = False,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what has failed, with its cause.

    That is what is parked, what waits for another attempt, and messages of the queue that are no task. With --by, also
    models that wait for readings, and for each line what Latigo does by itself and what you can do. Dismissed failures
    are counted, and listed with --dismissed. At most 1000 are shown, with --json 100 000. Exit code 2 when there is no
    such project, model or sensor.
    """
    from latigo.reports.failures import (
        MOST_FAILURES,
        FailureFilter,
        count_dismissed_failures,
        read_failure_groups,
        read_failures,
    )
    from latigo.runtime.units import counted

    check_reason(reason)
    selected, settings = selection(project, model, sensor), settings_of(config)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_FAILURES
    wanted = FailureFilter(selected.project, selected.model, reason, sensor, state, dismissed)
    empty = "Nothing like that has failed" if reason or state or sensor else "Nothing has failed"
    if dismissed:
        empty = "Nothing like that is dismissed"

    async def with_dismissed(read: "Callable[[Database], Awaitable[T]]", database: "Database") -> "tuple[T, int]":
        return await read(database), 0 if dismissed else await count_dismissed_failures(database, wanted)

    if by is not None:
        groups, more = with_ledger(
            settings,
            partial(with_dismissed, lambda database: read_failure_groups(database, by, wanted, most=most)),
            selected,
        )
        if as_json:
            show_json_list(groups, groups.total, limit)
        else:
            _show_groups(groups, by, empty)
        show_cut(len(groups), groups.total)
    else:
        failures, more = with_ledger(
            settings,
            partial(with_dismissed, lambda database: read_failures(database, wanted, order=sort, most=most)),
            selected,
        )
        if as_json:
            show_json_list(failures, failures.total, limit)
        else:
            _show(failures, empty)
        show_cut(len(failures), failures.total)
    if more:
        typer.echo(f"{counted(more, 'failure')} dismissed; latigo failures --dismissed lists them", err=True)


def _show(failures: "Sequence[Failure]", empty: str) -> None:
    from latigo.cli.failure_details import detail_of

    rows = [{**dict(failure), "detail": detail_of(failure)} for failure in failures]
    columns = ("project", "model", "state", "reason", "since", "next_attempt", "dismissed_by", "note")
    show_table(rows, columns, empty=empty, if_any=("next_attempt", "dismissed_by", "note"), below="detail")


def _show_groups(groups: "Sequence[FailureGroup]", by: FailureGrouping, empty: str) -> None:
    from latigo.cli.failure_details import summary_of
    from latigo.runtime.clock import SystemClock

    now = SystemClock().now()
    rows = [
        {
            **dict(group),
            by: group.name,
            "for": age(group.since, now),
            "reasons": ", ".join(group.reasons),
            "projects": _some(group.projects),
            "summary": summary_of(group),
        }
        for group in groups
    ]
    others = {"cause": ("projects",), "sensor": ("reasons", "projects"), "project": ("reasons",)}[by]
    show_table(rows, (by, "models", "for", *others), empty=empty, below="summary")


def _some(names: "Sequence[str]") -> str:
    shown = [name for name in names if name]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
