"""``latigo failures list``."""

from typing import TYPE_CHECKING, Annotated

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
)
from latigo.cli.tables import age, show_cut, show_json_list, show_table
from latigo.reports.choices import CAUSES, FailureGrouping, FailureOrder, FailureState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latigo.reports.failures import Failure, FailureGroup

EXAMPLES = (
    "latigo failures --by sensor",
    "latigo failures --project plant-a",
    "latigo failures --dismissed",
    "latigo failures --reason crashed --sort newest --limit 20 --json",
)
OVER_HTTP = True


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
    from latigo.cli.asking import listing, with_service
    from latigo.reports.failures import MOST_FAILURES
    from latigo.runtime.units import counted
    from latigo.web.api.failures import FAILURES, GROUPS

    check_reason(reason)
    selected = selection(project, model, sensor)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_FAILURES
    wanted = {**selected._asdict(), "reason": reason, "state": state, "dismissed": dismissed}
    empty = "Nothing like that has failed" if reason or state or sensor else "Nothing has failed"
    if dismissed:
        empty = "Nothing like that is dismissed"
    if by is not None:
        found = with_service(config, lambda service: service.list(GROUPS, most, **wanted, by=by))
        groups, more = listing(found), found.dismissed
        if as_json:
            show_json_list(groups, groups.total, limit)
        else:
            _show_groups(groups, by, empty)
        show_cut(len(groups), groups.total)
    else:
        page = with_service(config, lambda service: service.list(FAILURES, most, **wanted, order=sort))
        failures, more = listing(page), page.dismissed
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
