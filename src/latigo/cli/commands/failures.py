"""``latigo failures``."""

from typing import Annotated

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    JsonOption,
    LimitOption,
    ModelOption,
    ProjectOption,
    check_reason,
    reason_option,
    selection,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import show_cut, show_json_list, show_table
from latigo.reports.choices import CAUSES, FailureOrder, FailureState

EXAMPLES = ("latigo failures --project plant-a", "latigo failures --reason crashed --sort newest --limit 20 --json")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[str | None, reason_option(CAUSES)] = None,
    state: Annotated[FailureState | None, typer.Option(help="Only what is in this state.")] = None,
    sort: Annotated[FailureOrder, typer.Option(help="Which come first.")] = "name",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what has failed, with its cause.

    That is what is parked, what waits for another attempt, and messages of the queue that are no task. At most 1000 are
    shown, with --json 100 000. Exit code 2 when there is no such project or model.
    """
    from latigo.cli.failure_details import detail_of
    from latigo.reports.failures import MOST_FAILURES, read_failures

    check_reason(reason)
    selected = selection(project, model)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_FAILURES
    failures = with_ledger(
        settings_of(config),
        lambda database: read_failures(database, *selected, reason, state=state, order=sort, most=most),
        selected,
    )
    if as_json:
        show_json_list(failures, failures.total, limit)
    else:
        rows = [{**dict(failure), "detail": detail_of(failure)} for failure in failures]
        columns = ("project", "model", "state", "reason", "since", "next_attempt")
        empty = "Nothing like that has failed" if reason or state else "Nothing has failed"
        show_table(rows, columns, empty=empty, if_any=("next_attempt",), below="detail")
    show_cut(len(failures), failures.total)
