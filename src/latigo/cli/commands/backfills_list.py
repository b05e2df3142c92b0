"""``latigo backfills list``."""

from typing import Annotated

import typer

from latigo.cli.options import MOST_IN_JSON, ConfigOption, JsonOption, LimitOption
from latigo.cli.tables import show_cut, show_json_list, show_table
from latigo.reports.choices import BackfillState

EXAMPLES = ("latigo backfills list", "latigo backfills list --state active --json")
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    state: Annotated[BackfillState | None, typer.Option(help="Only requests in this state.")] = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List requests for stretches of time, the newest first, and how far they are.

    At most 100 are shown, with --json 100 000.
    """
    from latigo.cli.asking import listing, with_service
    from latigo.reports.backfills import MOST_BACKFILLS
    from latigo.web.api.requests import REQUESTS

    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_BACKFILLS
    found = listing(with_service(config, lambda service: service.list(REQUESTS, most, state=state)))
    if as_json:
        show_json_list(found, found.total, limit)
    else:
        rows = [{**dict(each), "done": f"{each.share_done:.1%}", "failed": each.slots_parked} for each in found]
        columns = (
            "id",
            "kind",
            "sink",
            "state",
            "start",
            "end",
            "models",
            "slots",
            "done",
            "failed",
            "tasks",
            "who",
            "at",
            "why",
        )
        empty = "Nothing has been requested; latigo backfill requests something"
        show_table(
            rows,
            columns,
            empty=f"No request is {state}" if state else empty,
            if_any=("sink", "failed", "why"),
            below="note",
        )
        if any(each.backfill_paused for each in found):
            from latigo.reports.status import BACKFILL_WAITS

            typer.echo(f"Those that are active wait: {BACKFILL_WAITS}")
    show_cut(len(found), found.total)
