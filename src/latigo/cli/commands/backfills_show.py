"""``latigo backfills show``."""

from typing import TYPE_CHECKING

from latigo.cli.options import BackfillArgument, ConfigOption, JsonOption, LimitOption
from latigo.cli.tables import show_cut, show_json, show_pairs, show_table

if TYPE_CHECKING:
    from latigo.cli.asking import Service
    from latigo.reports.backfills import Backfill, BackfillModel
    from latigo.web.api.paging import Page

EXAMPLES = ("latigo backfills show 12", "latigo backfills show 12 --limit 0 --json")
OVER_HTTP = True


def run(
    number: BackfillArgument, config: ConfigOption = None, limit: LimitOption = None, as_json: JsonOption = False
) -> None:
    """Show one request, and what is left of it for each model.

    The 1000 models with most left are shown. Exit code 2 when there is no such request.
    """
    from latigo.cli.asking import listing, with_service
    from latigo.reports.backfills import MOST_MODELS
    from latigo.web.api.requests import REQUEST, REQUEST_MODELS

    async def work(service: "Service") -> "tuple[Backfill, Page[BackfillModel]]":
        most = MOST_MODELS if limit is None else limit
        return await service.ask(REQUEST, id=number), await service.list(REQUEST_MODELS, most, id=number)

    backfill, page = with_service(config, work)
    models = listing(page)
    if as_json:
        show_json({**dict(backfill), "by_model": list(models), "total": models.total})
        return
    show_pairs({**dict(backfill), "done": f"{backfill.share_done:.1%}"})
    columns = ("project", "model", "slots", "slots_left", "slots_parked", "parked_as")
    show_table(models, columns, title="Models", if_any=("slots_parked", "parked_as"))
    show_cut(len(models), models.total)
