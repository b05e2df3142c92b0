"""``latigo anomalies``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import ConfigOption, JsonOption, ModelOption, ProjectOption, required_range, selection
from latigo.cli.tables import age, show_cut, show_json, show_table

if TYPE_CHECKING:
    from latigo.reports.anomalies import Anomalies, Anomaly

EXAMPLES = (
    "latigo anomalies --project plant-a",
    "latigo anomalies --project plant-a --from -7d --limit 20",
    "latigo anomalies --model plant-a/pump-001 --json",
)
OVER_HTTP = True
_SHOWN = 50
_MOST = 500


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    since: Annotated[str, typer.Option("--from", help="Begin: ISO 8601, or relative such as -7d.")] = "-24h",
    until: Annotated[str, typer.Option("--to", help="End: the same.")] = "now",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, max=_MOST, help="Show so many at most.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List models by anomaly, the worst first: what changed, since when, and which tags carry it.

    Over is the share of rows over the model's threshold: in its newest window (now), in the range, and in as long a
    time before it. It comes from receipts of tasks, which are kept for ledger.history; the predictions themselves are
    not read. Models whose answers have no anomaly are counted. At most 50 are shown, with --json 500. Exit code 2 when
    there is no such project or model.
    """
    from latigo.cli.asking import with_service
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.anomalies import ANOMALIES

    selected = selection(project, model)
    window = required_range(since, until, SystemClock().now())
    report = with_service(
        config,
        lambda service: service.ask(
            ANOMALIES,
            project=selected.project,
            model=selected.model,
            from_=window.start.isoformat(),
            to=window.end.isoformat(),
            limit=limit or (_MOST if as_json else _SHOWN),
        ),
    )
    if as_json:
        show_json(report)
    else:
        _show(report)
    show_cut(len(report.items), report.total)


def _show(report: "Anomalies") -> None:
    rows = [
        {
            "model": f"{item.project}/{item.model}",
            "over now": _percent(item.share_now),
            "in the range": _percent(item.share),
            "before": _percent(item.share_before),
            "for": ("> " if item.since_before else "") + age(item.since, report.at) if item.since else None,
            "highest": f"{item.max:.3g}",
            "highest at": item.max_at,
            "carried by": _tags(item),
        }
        for item in report.items
    ]
    columns = ("model", "over now", "in the range", "before", "for", "highest", "highest at", "carried by")
    show_table(rows, columns, empty="No window with an anomaly score was settled in the range")
    apart = [
        (report.without_count, "without anomalies in what they answer"),
        (report.unscored_count, "without a scored window in the range"),
    ]
    if said := ", ".join(f"{count} {what}" for count, what in apart if count):
        typer.echo(f"Other models: {said}", err=True)


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.3g} %"


def _tags(item: "Anomaly") -> str:
    return ", ".join(f"{each.tag} {each.share:.0%}" for each in item.tags[:3])
